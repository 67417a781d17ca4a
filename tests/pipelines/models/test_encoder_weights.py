"""Encoders' tensors: from files, from a server on this machine, and refusals in a sentence."""

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import WeightsError
from pipelines.models.encoder_weights import read_encoder_weights
from rurnet.encoders.pretrained import load_encoder
from rurnet.encoders.vgg import VGG16
from rurnet.network import SegmentationNetwork


def tensors():
    """Random ones of a small VGG-16 and of its classifier."""
    torch.manual_seed(4)
    state = {key: torch.randn(value.shape) for key, value in VGG16(width=2).state_dict().items()}
    return state | {"classifier.0.weight": torch.randn(8, 16), "classifier.0.bias": torch.randn(8)}


def saved(path, content=None, **options):
    torch.save(tensors() if content is None else content, path, **options)
    return path


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], expected[key]) for key in expected
    )


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def refused(source, *arguments):
    """The message of the refusal: one line that begins with the source."""
    with pytest.raises(WeightsError) as caught:
        read_encoder_weights(str(source), *arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert str(source) in message
    assert "; " in message, "what to do"
    return message


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


# Files


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of before torch 1.6"])
@pytest.mark.parametrize("name", ["vgg16.pth", "vgg16.pt"])
def test_a_file_of_torchs_gives_every_tensor(tmp_path, name, zipped):
    path = saved(tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert same(read_encoder_weights(str(path)), tensors())


def test_a_safetensors_file_gives_every_tensor(tmp_path):
    save_file(tensors(), tmp_path / "vgg16.safetensors")
    assert same(read_encoder_weights(str(tmp_path / "vgg16.safetensors")), tensors())


def test_an_encoder_takes_what_a_file_gives(tmp_path):
    network = SegmentationNetwork(3, 2, 1)
    network.encoder = VGG16(width=2)
    load_encoder(network, read_encoder_weights(str(saved(tmp_path / "vgg16.pth"))))
    expected = {key: value for key, value in tensors().items() if key.startswith("features")}
    assert same(network.encoder.state_dict(), expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda state: {"model": state, "args": None},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {key: torch.nn.Parameter(value) for key, value in state.items()},
        lambda state: {**state, "epoch": 90},
    ],
    ids=["state_dict", "model", "state_dict of module", "module", "parameters", "number beside"],
)
def test_what_training_programs_wrap_them_in_is_taken_off(tmp_path, wrap):
    path = saved(tmp_path / "checkpoint.pth", wrap(tensors()))
    assert same(read_encoder_weights(str(path)), tensors())


def test_a_module_among_others_keeps_its_name(tmp_path):
    content = {"module.weight": torch.ones(2), "classifier.weight": torch.zeros(2)}
    path = saved(tmp_path / "odd.pth", content)
    assert same(read_encoder_weights(str(path)), content)


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_a_file_with_its_own_sha256_is_read(tmp_path, change):
    path = saved(tmp_path / "vgg16.pth")
    assert same(read_encoder_weights(str(path), change(digest(path))), tensors())


def test_a_file_with_another_sha256_is_refused_naming_both(tmp_path):
    path = saved(tmp_path / "vgg16.pth")
    message = refused(path, "AB" * 32)
    assert f"SHA-256 is {digest(path)}, not {'ab' * 32}" in message
    assert path.exists()


def test_the_name_of_a_file_of_ones_own_promises_nothing(tmp_path):
    path = saved(tmp_path / "vgg16-00000000.pth")
    assert same(read_encoder_weights(str(path)), tensors())


@pytest.mark.parametrize("source", ["no/such.pth", "ftp://localhost/vgg16.pth", "vgg16", ""])
def test_what_is_no_file_is_refused(source):
    assert "no such file; give a .pth" in refused(source)


def test_a_file_that_the_disk_refuses_is_named_with_the_reason(tmp_path, monkeypatch):
    path = saved(tmp_path / "vgg16.pth")

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read ([Errno 13] Permission denied); give another" in refused(path)


def test_a_folder_is_no_file(tmp_path):
    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99, -1])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, kind, kept):
    path = tmp_path / ("whole.safetensors" if kind == "safetensors" else "whole.pth")
    if kind == "safetensors":
        save_file(tensors(), path)
    else:
        saved(path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    assert "not a file of tensors, or a damaged one; give another" in refused(path)


@pytest.mark.parametrize("name", ["page.pth", "page.safetensors"])
@pytest.mark.parametrize("content", [b"<html>Not here</html>\n" * 9, bytes(300), b"PK\x03\x04junk"])
def test_something_else_under_the_name_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "not a file of tensors" in refused(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(3), {"state_dict": {}}])
def test_a_file_without_tensors_by_name_is_refused(tmp_path, content):
    assert "no tensors by name" in refused(saved(tmp_path / "other.pth", content))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.safetensors", "evil"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, name, zipped):
    ran = tmp_path / "ran"
    path = saved(tmp_path / name, {"weight": Payload(ran)}, _use_new_zipfile_serialization=zipped)
    refused(path)
    assert not ran.exists()
    torch.load(BytesIO(path.read_bytes()), weights_only=False)
    assert ran.exists(), "nothing to refuse"


def test_a_whole_model_is_refused_with_the_way_to_save_its_tensors(tmp_path):
    message = refused(saved(tmp_path / "model.pth", VGG16(width=1)))
    assert "would run code (rurnet.encoders.vgg.VGG16)" in message
    assert "torch.save(model.state_dict()" in message
    assert "weights_only" not in message


# URLs


class Server:
    """A server on this machine that counts what it is asked for.

    Attributes:
        answer: What it does with a request.
        asked: Paths of the requests.
        url: Where it listens.
    """

    def __init__(self, folder):
        self.asked = []
        self.answer = lambda request: whole(request, folder)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                server.answer(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def listening(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def begun(request, length):
    request.send_response(200)
    if length is not None:
        request.send_header("Content-Length", str(length))
    request.end_headers()


def whole(request, folder):
    """The file of the request's name, if there is one."""
    path = folder / request.path.split("?")[0].rsplit("/", 1)[-1]
    if not path.is_file():
        request.send_error(404)
        return
    begun(request, path.stat().st_size)
    request.wfile.write(path.read_bytes())


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
