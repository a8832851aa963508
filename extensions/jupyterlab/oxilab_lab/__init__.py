"""JupyterLab's side of the Rust kernel oxilab: built files, nothing that Python runs."""


def _jupyter_labextension_paths():
    return [{"src": "labextension", "dest": "oxilab-lab"}]
