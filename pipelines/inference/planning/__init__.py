"""What is looked at before anything is predicted: no module here needs torch to be imported."""
