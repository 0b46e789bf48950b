"""The networks, their directories and the ensembles made of them: `load_model(dir).posteriors(features)`."""


def load_model(folder, device: str = "cpu"):
    """Loads a network's or an ensemble's directory (see models.model_dir); torch is imported only now."""
    from .model_dir import load_model as load

    return load(folder, device)
