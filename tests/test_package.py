import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import leadline

ROOT = Path(leadline.__file__).parent
NOT_SHIPPED = {"tests", "benchmarks", "examples", "docs", "scripts", "build"}
ROOT_MODULES = {"__init__.py", "__main__.py", "cli.py", "errors.py"}


@pytest.fixture(scope="module")
def files():
    """The checkout's files: tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout of leadline")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return sorted(path for path in listed.stdout.decode().split("\0") if path and (ROOT / path).is_file())


@pytest.fixture(scope="module")
def wheel(files, tmp_path_factory):
    pytest.importorskip("build", reason="needs `build`: pip install -e '.[test]'")
    copy = tmp_path_factory.mktemp("checkout") / "leadline-main.x"
    for path in files:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (copy / "dist").iterdir()
    with zipfile.ZipFile(path) as opened:
        yield opened


def info(wheel, name):
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_holds_every_module_and_nothing_else(files, wheel):
    modules = {path for path in files if path.endswith(".py") and path.split("/")[0] not in NOT_SHIPPED}
    shipped = {path for path in wheel.namelist() if ".dist-info/" not in path}
    templates = {path for path in files if Path(path).parent == Path("search/analysis") and "/report." in path}
    assert shipped == {f"leadline/{path}" for path in modules | templates | {"py.typed"}}


def test_no_stray_module_lies_at_the_root(files, wheel):
    assert {path for path in files if path.endswith(".py") and "/" not in path} == ROOT_MODULES
    assert {path.split("/")[1] for path in wheel.namelist() if path.count("/") == 1 and path.endswith(".py")} == (
        ROOT_MODULES
    )


def test_every_folder_of_modules_is_a_package_listed_in_pyproject(files):
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {str(Path(path).parent) for path in files if path.endswith(".py")}
    shipped = {folder for folder in folders if folder.split("/")[0] not in NOT_SHIPPED}
    assert set(listed) == {
        "leadline" if folder == "." else f"leadline.{folder.replace('/', '.')}" for folder in shipped
    }
    assert all((ROOT / folder / "__init__.py").exists() for folder in shipped)


def test_the_wheel_installs_one_name_and_one_command(wheel):
    assert info(wheel, "top_level.txt").split() == ["leadline"]
    assert "[console_scripts]\nleadline = leadline.__main__:main" in info(wheel, "entry_points.txt")


def test_the_wheels_metadata_are_the_projects(wheel):
    metadata = info(wheel, "METADATA")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert f"\nVersion: {leadline.__version__}\n" in metadata
    assert project["version"] == leadline.__version__
    required = {
        re.split(r"[^\w-]", line)[0] for line in re.findall(r"\nRequires-Dist: (.*)", metadata) if "extra" not in line
    }
    assert required == {
        *("cmaes", "jinja2", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "pillow", "pyarrow", "pydantic"),
        *("rich", "ruamel", "safetensors", "scikit-learn", "scikit-optimize", "scipy", "torch", "typer"),
    }


def test_the_wheel_works_without_the_checkout(wheel, tmp_path):
    wheel.extractall(tmp_path)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import leadline; print(leadline.__file__); "
        "from leadline import Int, Space; print(len(Space(a=Int(1, 3))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / "leadline/__init__.py"), "3"]
