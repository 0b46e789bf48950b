"""The library behind the recipe. `utils/setup_env.sh` builds whole environments; this installs the package alone."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def direct(name: str) -> list[str]:
    """The requirements this project names itself: the first block of a requirements file."""
    block = (HERE / "requirements" / name).read_text().split("\n\n")[0]
    return [line for line in block.splitlines() if line and not line.startswith("#")]


setup(
    name="pytorch-nnet",
    version="0.1.0",
    description="Hybrid HMM/neural speech recognition: blending LSTMs into CNNs, from audio to word error rates",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["pytorch_nnet", "pytorch_nnet.*"]),
    install_requires=["numpy"],
    # recipe: the main environment, Python 3.11 to 3.13. k2: the decoder's environment, Python 3.10. dev: tests in either.
    entry_points={"console_scripts": ["pytorch-nnet = pytorch_nnet.recognition.cli:console"]},
    extras_require={"recipe": direct("main.txt"), "k2": direct("k2.txt"), "dev": direct("dev.txt")},
)
