"""Encoders' tensors from a server on this machine, and refusals in a sentence."""

import re

import pytest
import torch
from safetensors.torch import save_file

from pipelines.models.encoder_weights import read_encoder_weights
from tests.pipelines.models.encoder_files import Payload, digest, refused, same, saved, tensors
from tests.pipelines.models.file_server import Server, begun, whole


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with Server(folder).listening() as listening:
        yield listening


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """Where downloads are kept; nothing half done may be there after a test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    yield folder
    left = [*folder.iterdir()] if folder.exists() else []
    assert [path.name for path in left if path.name.startswith(".") or path.is_dir()] == []


def named_by_hash(folder, digits=8):
    """A file under the kind of name that torchvision gives, and its name."""
    path = saved(folder / "new.pth")
    return path.rename(folder / f"vgg16-{digest(path)[:digits]}.pth").name


def test_a_download_is_kept_under_its_name_and_not_repeated(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    for _ in range(2):
        assert same(read_encoder_weights(f"{server.url}/models/{name}"), tensors())
    assert server.asked == [f"/models/{name}"]
    assert [path.name for path in kept.iterdir()] == [name]
    assert digest(kept / name) == digest(tmp_path / "served" / name)


def test_what_torchvision_downloaded_is_used(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    url = f"{server.url}/{name}"
    torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True, weights_only=True)
    assert same(read_encoder_weights(url), tensors())
    assert server.asked == [f"/{name}"]


def test_torchvision_finds_what_was_downloaded_here(server, tmp_path):
    name = named_by_hash(tmp_path / "served")
    url = f"{server.url}/{name}"
    read_encoder_weights(url)
    found = torch.hub.load_state_dict_from_url(url, check_hash=True, weights_only=True)
    assert same(found, tensors())
    assert server.asked == [f"/{name}"]


def test_a_safetensors_file_is_downloaded_whatever_follows_its_name(server, tmp_path):
    save_file(tensors(), tmp_path / "served" / "model.safetensors")
    url = f"{server.url}/a/model.safetensors?download=true"
    for _ in range(2):
        assert same(read_encoder_weights(url), tensors())
    assert server.asked == ["/a/model.safetensors?download=true"]


def test_files_of_one_name_from_two_places_are_kept_apart(server, tmp_path, kept):
    content = {"a": {"weight": torch.zeros(3)}, "b": {"weight": torch.ones(3)}}

    def answer(request):
        folder = tmp_path / request.path.split("/")[1]
        folder.mkdir()
        save_file(content[folder.name], folder / "model.safetensors")
        whole(request, folder)

    server.answer = answer
    for place in ("a", "b", "a", "b"):
        found = read_encoder_weights(f"{server.url}/{place}/model.safetensors")
        assert same(found, content[place])
    assert len(server.asked) == len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_a_download_with_its_own_sha256_is_kept_and_used(server, tmp_path, change):
    name = named_by_hash(tmp_path / "served")
    sha256 = change(digest(tmp_path / "served" / name))
    for _ in range(2):
        assert same(read_encoder_weights(f"{server.url}/{name}", sha256), tensors())
    assert len(server.asked) == 1


def test_a_download_with_another_sha256_is_refused_and_not_kept(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    # The first digits alone are right.
    sha256 = digest(tmp_path / "served" / name)[:8] + "0" * 56
    message = refused(f"{server.url}/{name}", sha256)
    assert f"SHA-256 is {digest(tmp_path / 'served' / name)}, not {sha256}" in message
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_a_download_is_held_to_the_digits_in_its_name(server, tmp_path, kept, digits):
    name = named_by_hash(tmp_path / "served", digits)
    assert same(read_encoder_weights(f"{server.url}/{name}"), tensors())
    other = saved(tmp_path / "served" / f"vgg16-{'0' * digits}.pth")
    message = refused(f"{server.url}/{other.name}")
    assert f"SHA-256 is {digest(other)}, not {'0' * digits}" in message
    assert [path.name for path in kept.iterdir()] == [name]


def test_a_given_sha256_counts_for_more_than_the_name(server, tmp_path):
    path = saved(tmp_path / "served" / "vgg16-20240131.pth")
    refused(f"{server.url}/{path.name}")
    assert same(read_encoder_weights(f"{server.url}/{path.name}", digest(path)), tensors())


def test_a_number_in_a_name_is_no_promise(server, tmp_path):
    saved(tmp_path / "served" / "vgg16-2.pth")
    assert same(read_encoder_weights(f"{server.url}/vgg16-2.pth"), tensors())


def test_an_earlier_download_with_another_sha256_is_refused_and_left(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    read_encoder_weights(f"{server.url}/{name}")
    message = refused(f"{server.url}/{name}", "0" * 64)
    assert str(kept / name) in message
    assert "delete it to download it again" in message
    assert (kept / name).exists()
    assert len(server.asked) == 1


def test_a_damaged_earlier_download_is_named(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    read_encoder_weights(f"{server.url}/{name}")
    (kept / name).write_bytes(b"damaged")
    message = refused(f"{server.url}/{name}")
    assert str(kept / name) in message
    assert "delete it" in message


def test_a_file_that_the_server_does_not_have_is_refused(server, kept):
    message = refused(f"{server.url}/vgg16-397923af.pth")
    assert "cannot be downloaded" in message
    assert "404" in message
    assert "give the file" in message
    assert list(kept.iterdir()) == []


def test_a_server_that_is_not_there_is_refused(tmp_path, kept):
    with Server(tmp_path).listening() as server:
        url = f"{server.url}/vgg16-397923af.pth"
    message = refused(url)
    assert "refused" in message
    assert "check the address and the connection" in message
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("named", [True, False], ids=["digits in the name", "none"])
@pytest.mark.parametrize("announced", [True, False], ids=["length", "no length"])
def test_a_download_that_breaks_off_is_refused_and_comes_whole_the_next_time(
    server, tmp_path, kept, announced, named
):
    folder = tmp_path / "served"
    name = named_by_hash(folder) if named else saved(folder / "vgg16.pth").name
    content = (folder / name).read_bytes()

    def answer(request):
        begun(request, len(content) if announced else None)
        request.wfile.write(content[: len(content) // 2])

    healthy, server.answer = server.answer, answer
    message = refused(f"{server.url}/{name}")
    assert ("SHA-256 is" if named else "a damaged one; try again") in message
    assert list(kept.iterdir()) == []
    server.answer = healthy
    assert same(read_encoder_weights(f"{server.url}/{name}"), tensors())
    assert len(server.asked) == 2


def test_a_server_that_dies_before_it_answers_is_refused(server, kept):
    server.answer = lambda request: request.connection.close()
    assert "cannot be downloaded" in refused(f"{server.url}/vgg16.pth")
    assert list(kept.iterdir()) == []


def test_an_answer_that_is_no_http_is_refused(server, kept):
    server.answer = lambda request: request.wfile.write(b"no http at all\r\n\r\n")
    assert "cannot be downloaded" in refused(f"{server.url}/vgg16.pth")
    assert list(kept.iterdir()) == []


def test_a_page_instead_of_the_file_is_refused(server, kept):
    def answer(request):
        begun(request, 18)
        request.wfile.write(b"<html>Login</html>")

    server.answer = answer
    assert "not a file of tensors" in refused(f"{server.url}/vgg16.pth")
    assert list(kept.iterdir()) == []


def test_a_pickle_that_runs_code_is_neither_run_nor_kept(server, tmp_path, kept):
    ran = tmp_path / "ran"
    saved(tmp_path / "served" / "evil.pth", {"weight": Payload(ran)})
    assert "would run code" in refused(f"{server.url}/evil.pth")
    assert not ran.exists()
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://127.0.0.1/"])
def test_a_url_without_a_file_is_refused(url):
    assert "names no file" in refused(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/a.pth", "http://127.0.0.1/a b.pth"])
def test_a_url_that_is_none_is_refused(url):
    assert "cannot be downloaded" in refused(url)


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, kept):
    name = named_by_hash(tmp_path / "served")
    kept.parent.parent.mkdir()
    kept.parent.write_text("a file, not a folder")
    assert re.search(
        rf"cannot be downloaded to {re.escape(str(kept))} \(", refused(f"{server.url}/{name}")
    )
    kept.parent.unlink()


def test_nothing_is_printed_without_a_terminal(server, tmp_path, capfd):
    read_encoder_weights(f"{server.url}/{named_by_hash(tmp_path / 'served')}")
    assert capfd.readouterr() == ("", "")
