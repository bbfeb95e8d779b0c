"""The images and what configures them, as far as that can be checked without Docker."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SERVING = ROOT / "docker" / "serving"
CARD = "assets.extra/tfmusic.json"


@pytest.fixture
def models(tmp_path):
    """Two models, one of them in two versions, and an export that is not complete."""
    for path in ("chorales/1", "chorales/12", "pop/3"):
        (tmp_path / "models" / path / "assets.extra").mkdir(parents=True)
        (tmp_path / "models" / path / CARD).write_text("{}")
    (tmp_path / "models" / "begun" / ".1" / "assets.extra").mkdir(parents=True)
    return tmp_path / "models"


def serve(tmp_path, *flags, **variables):
    """Runs serve.sh with a server that prints what it is called with."""
    server = tmp_path / "server"
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    variables = {
        "MODELS": str(tmp_path / "models"),
        "SETTINGS": str(SERVING),
        "SERVER": str(server),
        "LIST": str(tmp_path / "models.config"),
        "POLL_SECONDS": "1",
        **variables,
    }
    done = subprocess.run(
        ["sh", str(SERVING / "serve.sh"), *flags],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_server_gets_every_complete_export_of_the_folder(models, tmp_path):
    config_pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2"
    )
    from google.protobuf import text_format

    text = serve(tmp_path, "--list")
    config = text_format.Parse(text, config_pb2.ModelServerConfig())
    listed = {model.name: model for model in config.model_config_list.config}
    assert listed.keys() == {"chorales", "pop"}
    assert listed["pop"].base_path == str(models / "pop")
    assert listed["pop"].model_platform == "tensorflow"
    assert (tmp_path / "models.config").read_text() == text


def test_server_is_started_with_files_that_exist(models, tmp_path):
    flags = serve(tmp_path, "--port=9500").splitlines()
    assert flags[-1] == "--port=9500", "flags of the user come last"
    assert "--enable_model_warmup=true" in flags
    assert not [flag for flag in flags if "batching" in flag]
    assert "--enable_batching=true" in (flags := serve(tmp_path, BATCHING="1").split())
    # Among the warm-up requests are calls that a batching server refuses.
    assert "--enable_model_warmup=false" in flags
    files = [flag.partition("=")[2] for flag in flags if "_file=" in flag]
    assert len(files) == 3
    assert all(os.path.exists(file) for file in files)


def message(name, **fields):
    """A protobuf message type with these fields: a type, or another message's name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf import wrappers_pb2 as wrappers

    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package="test", syntax="proto3"
    )
    file.dependency.append(wrappers.DESCRIPTOR.name)
    scalars = {"bool": 8, "string": 9}  # as descriptor.proto numbers them
    described = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), start=1):
        added = described.field.add(name=field, number=number, label=1)
        added.type = scalars.get(kind, 11)
        if kind not in scalars:
            added.type_name = kind
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))()


def test_parameters_are_messages_in_text_form():
    from google.protobuf import text_format

    number = ".google.protobuf.Int64Value"
    batching = message(
        "BatchingParameters",
        max_batch_size=number,
        batch_timeout_micros=number,
        max_enqueued_batches=number,
        num_batch_threads=number,
        pad_variable_length_inputs="bool",
    )
    text_format.Parse((SERVING / "batching.config").read_text(), batching)
    assert batching.max_batch_size.value == 16
    assert batching.pad_variable_length_inputs
    message("PrometheusConfig", enable="bool", path="string")
    monitoring = message("MonitoringConfig", prometheus_config=".test.PrometheusConfig")
    text_format.Parse((SERVING / "monitoring.config").read_text(), monitoring)
    assert monitoring.prometheus_config.enable


def test_images_copy_what_is_there_and_what_the_context_lets_through():
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for folder, context in (("train", ROOT), ("serving", SERVING)):
        lines = (ROOT / "docker" / folder / "Dockerfile").read_text().splitlines()
        copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
        for name in sum(copied, []):
            assert (context / name).exists(), name
            assert context != ROOT or f"!{name}" in allowed, name


def test_images_hold_the_tensorflow_of_the_lock_file():
    lock = (ROOT / "requirements" / "test.lock").read_text()
    version = re.search(r"^tensorflow==(\d+\.\d+)", lock, re.MULTILINE)[1]
    texts = [path.read_text() for path in (ROOT / "docker").rglob("Dockerfile")]
    texts.append((ROOT / "docker" / "compose.yaml").read_text())
    images = re.findall(r"\btensorflow/\w+:(\S+)", "\n".join(texts))
    assert len(images) == 3
    serving = re.search(r"FROM tensorflow/serving:(\S+)", "\n".join(texts))[1]
    images.remove(serving)
    assert all(image.startswith(f"{version}.") for image in images)
    # One JSON request can stop the servers up to this one (CVE-2025-0649).
    assert tuple(map(int, serving.split("."))) > (2, 18, 0)
    tensorflow_io = re.search(r"tensorflow-io==\S+", "".join(texts))[0]
    assert tensorflow_io in lock.splitlines()


def test_services_are_built_from_folders_that_exist():
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    services = compose["services"]
    assert services.keys() == {"serving", "tensorboard", "train"}
    assert (ROOT / "docker" / services["serving"]["build"] / "Dockerfile").exists()
    train = services["train"]["build"]
    context = (ROOT / "docker" / train["context"]).resolve()
    assert context == ROOT
    assert (context / train["dockerfile"]).exists()
    exposed = set(re.findall(r"\d{4}", (SERVING / "Dockerfile").read_text()))
    for port in services["serving"]["ports"]:
        assert port.rpartition(":")[2] in exposed
    for service in services.values():
        assert "mem_limit" in service
        ports = service.get("ports", [])
        assert all(port.startswith("${HOST:-127.0.0.1}:") for port in ports)


def test_kubernetes_mounts_models_and_ports_where_the_image_has_them():
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "docker" / "kubernetes.yaml").read_text()
    deployment, service, claim = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    dockerfile = (SERVING / "Dockerfile").read_text()
    assert container["image"] in (ROOT / "docker" / "compose.yaml").read_text()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    exposed = re.search(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE)[1].split()
    assert {str(port) for port in ports.values()} == set(exposed)
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports.keys()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (mount,) = container["volumeMounts"]
    assert f'VOLUME ["{mount["mountPath"]}"]' in dockerfile
    (volume,) = pod["spec"]["volumes"]
    name = volume["persistentVolumeClaim"]["claimName"]
    assert (volume["name"], name) == (mount["name"], claim["metadata"]["name"])
