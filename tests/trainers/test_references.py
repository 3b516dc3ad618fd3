import functools
import sys

import pytest

from leadline import SettingsError
from leadline.trainers.networks.mlp import mlp
from leadline.trainers.references import describe, is_reference, reference_to, resolve, travels


@pytest.fixture(autouse=True)
def own_imports(monkeypatch):
    """Leaves the import path and the imported modules as they were."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def base(tmp_path):
    (tmp_path / "my_networks.py").write_text("def build(): return 'built'\nclass Holder:\n    kept = 3\n_hidden = 1\n")
    (tmp_path / "my_package/inner").mkdir(parents=True)
    (tmp_path / "my_package/__init__.py").touch()
    (tmp_path / "my_package/inner/nets.py").write_text("def build(): return 'from inside'\n")
    (tmp_path / "broken.py").write_text("import nothing_like_this_exists\n")
    return tmp_path


@pytest.mark.parametrize("text", ["module:function", "a.b.c:d", "a:B.c"])
def test_module_and_function_are_a_reference(text):
    assert is_reference(text)


@pytest.mark.parametrize("text", ["convnet", "C:/data.csv", "a:b:c", "a b:c", ":build", "a:", "data/a.csv:x", None, 3])
def test_anything_else_is_none(text):
    assert not is_reference(text)


def test_a_reference_is_looked_up_in_the_study_files_folder(base):
    assert resolve("my_networks:build", base)() == "built"
    assert resolve("my_networks:Holder.kept", base) == 3
    assert resolve("my_package.inner.nets:build", base)() == "from inside"


@pytest.mark.parametrize("reference", ["json:loads", "os:system", "leadline.trainers.networks:build"])
def test_no_other_module_is_imported_for_a_study_file(base, reference):
    module = reference.split(":")[0].split(".")[0]
    with pytest.raises(SettingsError, match=rf"there is no module `{module}` in .* `--allow {module}`"):
        resolve(reference, base)


def test_an_installed_package_may_be_allowed(base):
    import json

    assert resolve("json:loads", base, allow=["json"]) is json.loads


def test_a_folder_beside_the_study_file_doesnt_open_the_installed_package_of_that_name(base):
    (base / "subprocess").mkdir()
    with pytest.raises(SettingsError):
        resolve("subprocess:run", base)


def test_a_module_beside_the_study_file_with_the_name_of_an_imported_one_is_refused(base):
    (base / "calendar.py").write_text("def build(): return 'mine'\n")
    import calendar  # noqa: F401 (somebody has imported it before; to replace it would break them)

    with pytest.raises(SettingsError, match="Rename yours"):
        resolve("calendar:build", base)


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A folder beside the study's, with modules that leave a mark when they are imported."""
    folder = tmp_path_factory.mktemp("elsewhere")
    mark = f"from pathlib import Path\nPath({str(folder)!r}, 'imported').touch()\ndef build(): return 'theirs'\n"
    (folder / "evil.py").write_text(mark)
    (folder / "evil_package").mkdir()
    (folder / "evil_package/__init__.py").write_text(mark)
    (folder / "evil_package/inner.py").write_text(mark)
    return folder


@pytest.mark.parametrize(
    ("link", "target", "reference"),
    [
        ("linked.py", "evil.py", "linked:build"),
        ("linked", "evil_package", "linked:build"),
        ("linked", "evil_package", "linked.inner:build"),
        ("linked", ".", "linked.evil:build"),
        ("my_package/linked.py", "evil.py", "my_package.linked:build"),
        ("my_package/inner/linked", "evil_package", "my_package.inner.linked.inner:build"),
    ],
)
def test_a_link_that_leads_out_of_the_folder_is_not_followed(base, elsewhere, link, target, reference):
    (base / link).symlink_to(elsewhere / target)
    with pytest.raises(SettingsError, match=r"there is no module .* in .* \(it leads to .*elsewhere"):
        resolve(reference, base)
    assert not (elsewhere / "imported").exists()


def test_a_link_within_the_folder_is_followed(base):
    (base / "linked.py").symlink_to(base / "my_networks.py")
    assert resolve("linked:build", base)() == "built"


def test_a_package_that_looks_for_its_modules_elsewhere_is_not_followed(base, elsewhere):
    (base / "wide").mkdir()
    (base / "wide/__init__.py").write_text(f"__path__.append({str(elsewhere)!r})\n")
    with pytest.raises(SettingsError, match=r"`wide\.evil` in .* \(it leads to"):
        resolve("wide.evil:build", base)
    assert not (elsewhere / "imported").exists()


def test_no_path_leads_out_of_the_folder(base, elsewhere):
    for path in (f"../{elsewhere.name}/evil", "..evil", f"{elsewhere}/evil", "my_package/../evil", "my_package...evil"):
        assert not is_reference(f"{path}:build")


@pytest.mark.parametrize("name", ["os", "subprocess", "antigravity", "this", "builtins", "sys"])
@pytest.mark.parametrize("beside", [True, False])
def test_python_s_own_modules_are_neither_had_nor_replaced(base, name, beside, capsys):
    if beside:
        (base / f"{name}.py").write_text("def build(): return 'mine'\nraise SystemExit\n")
    before = sys.modules.get(name)
    with pytest.raises(SettingsError, match=rf"there is no module `{name}` in .* `--allow {name}`"):
        resolve(f"{name}:build", base)
    assert sys.modules.get(name) is before
    assert capsys.readouterr().out == ""
    assert str(base) not in sys.path


def test_an_installed_module_is_not_even_loaded_to_see_where_it_lies(base, monkeypatch):
    for name in ("wsgiref", "mlflow.gateway"):  # other tests may have loaded them
        monkeypatch.delitem(sys.modules, name, raising=False)
    for reference in ("wsgiref:build", "mlflow.gateway:build", "cmaes_nothing:build"):
        with pytest.raises(SettingsError):
            resolve(reference, base)
    assert "wsgiref" not in sys.modules
    assert "mlflow.gateway" not in sys.modules


def test_a_module_that_replaces_itself_by_another_one_is_refused(base):
    (base / "changeling.py").write_text("import sys, subprocess\nsys.modules[__name__] = subprocess\n")
    with pytest.raises(SettingsError, match="was found outside"):
        resolve("changeling:run", base)


def test_two_study_files_each_have_their_own_module_of_one_name(base, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "my_networks.py").write_text("def build(): return 'another'\n")
    assert resolve("my_networks:build", base)() == "built"
    assert resolve("my_networks:build", other)() == "another"


def test_without_a_folder_any_module_will_do():
    assert resolve("leadline.trainers.networks.mlp:mlp") is mlp


def test_a_function_that_isnt_there_is_told_with_a_suggestion(base):
    with pytest.raises(SettingsError, match=r"`my_networks` has no `biuld`. Did you mean `build`\?"):
        resolve("my_networks:biuld", base)


def test_a_module_that_cannot_be_imported_is_told_with_its_own_error(base):
    with pytest.raises(SettingsError, match=r"importing `broken` failed: ModuleNotFoundError: .*nothing_like_this"):
        resolve("broken:build", base)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import sys; sys.exit(0)", r"RuntimeError: the code raised SystemExit: 0 \(ending.py:2\)"),
        ("raise BaseException('odd')", r"RuntimeError: the code raised BaseException: odd \(ending.py:2\)"),
        ("raise type('Mute', (Exception,), {'__str__': None})", r"Mute: <exception str\(\) failed> \(ending.py:2\)"),
    ],
)
def test_a_module_that_would_end_the_process_or_raises_what_cannot_be_printed_is_told_with_its_line(base, line, told):
    (base / "ending.py").write_text(f"\n{line}\n")
    with pytest.raises(SettingsError, match=rf"importing `ending` failed: {told}"):
        resolve("ending:build", base)


def test_what_can_be_imported_has_a_reference_and_travels():
    assert reference_to(mlp) == "leadline.trainers.networks.mlp:mlp"
    assert resolve(reference_to(mlp)) is mlp
    assert describe(mlp) == "leadline.trainers.networks.mlp:mlp"
    assert travels(mlp)


def test_names_paths_and_nothing_travel(tmp_path):
    assert travels("digits")
    assert travels(tmp_path)
    assert travels(None)


def inner():
    def function(): ...

    return function


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (lambda: 0, "<lambda in test_references.py>"),
        (inner(), "<inner.locals.function in test_references.py>"),
        (functools.partial(mlp, depth=3), "<partial in functools>"),
    ],
)
def test_what_cannot_be_imported_is_named_by_its_place_and_stays(value, described):
    assert reference_to(value) is None
    assert not travels(value)
    assert describe(value) == described


def test_what_belongs_to_the_main_script_stays():
    def main(): ...

    main.__module__, main.__qualname__ = "__main__", "main"
    assert reference_to(main) is None
