import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "tfmusic" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
# The time loop of LSTM layers and the softmax of tokens, in training. It needs neither
# TensorFlow nor Python to be built, nothing needs it, and where it does not compile the
# rest is installed. Named as if it used Python's stable interface: one library, one
# wheel for all versions.
LSTM = Extension(
    "tfmusic.networks._lstm",
    ["tfmusic/networks/csrc/lstm.cc"],
    depends=[
        str(path.relative_to(HERE))
        for path in (HERE / "tfmusic/networks/csrc").glob("*.h")
    ],
    extra_compile_args=[
        "-std=c++17",
        "-O3",
        "-g0",
        "-fvisibility=hidden",
        "-ffp-contract=fast",
        "-pthread",
    ],
    extra_link_args=["-pthread", "-ldl"],
    py_limited_api=True,
    optional=True,
)
STUDIO = [
    "prometheus_client>=0.20",
    "starlette>=0.46",
    "uvicorn>=0.30",
]

setup(
    name="tfmusic",
    version=VERSION,
    description="Symbolic music generation in TensorFlow and Keras",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    project_urls={"Homepage": "https://pypi.org/project/tfmusic/"},
    packages=[*find_packages(include=["tfmusic", "tfmusic.*"]), "tfmusic.configs"],
    package_dir={"tfmusic.configs": "configs"},
    package_data={
        "tfmusic": [
            "py.typed",
            "pretrained/*",
            "studio/static/*",
            "studio/static/*/*",
        ]
    },
    ext_modules=[LSTM] if sys.platform == "linux" else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    entry_points={"console_scripts": ["tfmusic = tfmusic.cli:main"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2",
        # note-seq's `__init__` wants it on Python 3.13; tfmusic itself does not.
        "audioop-lts; python_version >= '3.13'",
        "keras>=3.9",
        "matplotlib>=3.8",
        "mido>=1.3",
        "ml_collections>=1.0",
        "music21>=9",
        "note-seq>=0.0.5",
        "numpy>=1.26",
        "scipy>=1.10",
        "tensorboard>=2.17",
        "tensorflow>=2.17",
        "tqdm>=4.60",
    ],
    extras_require={
        # Under Jupyter, Beam does not load with pandas 3.
        "pipelines": ["apache-beam>=2.60", "pandas<3"],
        "gpu": ["tensorflow[and-cuda]>=2.17"],
        # Paths such as s3://bucket/data. tensorflow-io loads only with the TensorFlow
        # that it was built for, and has no wheel for Python 3.13 nor for Windows.
        "s3": ["tensorflow-io==0.37.1", "tensorflow>=2.17,<2.18"],
        # TensorFlow Serving's messages: warm-up requests in exports, gRPC clients. Not
        # for all: it lags behind the newest TensorFlow.
        "serving": ["tensorflow-serving-api>=2.17"],
        # `tfmusic export --format=onnx`, and what runs one step where TensorFlow is too
        # large. Later versions of onnx need an ml_dtypes that TensorFlow 2.17 refuses.
        "edge": [
            "ai-edge-litert>=1",
            "onnx<1.19",
            "onnxruntime>=1.17",
            "tf2onnx>=1.17",
        ],
        # The site of `make docs`; exact versions are in requirements/docs.lock.
        "docs": ["mkdocstrings-python>=2", "zensical>=0.0.73"],
        # The model server and the page on it.
        "studio": STUDIO,
        # OSC, and MIDI ports by mido, for `tfmusic live`. The latter has no wheel for
        # Python 3.13, where pip builds it: that takes a C++ compiler.
        "live": ["python-osc>=1.10", "python-rtmidi>=1.5"],
        "dev": [
            *STUDIO,
            "apache-beam>=2.60",
            "build>=1.2",
            # Which tests reach which lines, for benchmarks.mutation.
            "coverage>=7",
            # Run the notebooks of examples/.
            "ipykernel>=6",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "moto[server]>=5",
            "httpx2",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "python-osc>=1.10",
            "ruff>=0.6",
            "selenium>=4",
            # TensorBoard 2.17 imports pkg_resources, which later versions dropped.
            "setuptools<81",
            "tensorflow-serving-api>=2.17",
        ],
    },
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: MIDI",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
