"""The files around the code agree with each other."""

from __future__ import annotations

import re

import yaml

from tests.docs.pages import ROOT

PROJECT = (ROOT / "pyproject.toml").read_text()
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()


def test_continuous_integration_installs_the_packages_of_the_local_script():
    (listed,) = re.findall(r"packages=\((.*?)\)", (ROOT / ".ci/run").read_text(), re.DOTALL)
    installs = re.findall(r"--no-install-recommends \\\n(.*?)\n\s+- name", WORKFLOW, re.DOTALL)
    tests, *others = (set(installed.replace("\\", "").split()) for installed in installs)
    assert tests == set(listed.split())
    assert all(other < tests for other in others)


def test_continuous_integration_covers_the_pythons_that_the_package_names():
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", PROJECT)
    assert yaml.safe_load(WORKFLOW)["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_continuous_integration_builds_the_site_with_the_packages_of_the_extra():
    (extra,) = re.findall(r"^docs = \[\n(.*?)^\]", PROJECT, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r'"(mkdocs[^"]*)"', WORKFLOW)) == set(re.findall(r'"(mkdocs[^"]*)"', extra))


def test_commits_are_checked_with_the_linter_of_the_tests():
    (pinned,) = re.findall(r'"ruff==([\d.]+)"', PROJECT)
    assert set(re.findall(r"ruff==([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text())) == {pinned}


def test_the_changelogs_newest_version_is_the_packages_and_each_has_a_date():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    (version,) = re.findall(r'^version = "(.+)"$', PROJECT, re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0].startswith(f"{version} - ")
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in released)


def test_the_changelog_sorts_entries_by_kind():
    kinds = set(re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_license_is_the_one_that_the_package_names():
    assert 'license = "BSD-3-Clause"' in PROJECT
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")


def test_the_issue_templates_are_valid_yaml():
    templates = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(templates) >= 3
    assert all(isinstance(yaml.safe_load(template.read_text()), dict) for template in templates)
