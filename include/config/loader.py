"""Reads the declarations. A broken one breaks its own model only, and says file, line, field, value and what is
allowed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from include.config import yaml_text
from include.config.declared import BadDeclaration, Declarations
from include.config.gates import DeclaredGates
from include.config.old_keys import renamed, spellings
from include.config.problems import did_you_mean, fields_in, what_is_wrong
from include.config.scored_ahead import not_known_ahead
from include.config.serving import not_servable, wrong_unit
from include.config.shadow import DeclaredShadow
from include.config.streaming import Promising
from include.config.tiers import BLOCKS, DeclaredApprovers, Tier, Tiers, merged
from include.config.trusted_types import FILE as TRUSTED_FILE
from include.config.trusted_types import TrustedTypes
from include.config.types import FeatureView, ModelDeclaration, Promotion

ROOT = Path(os.environ.get("SLIPWAY_DECLARATIONS") or Path(__file__).resolve().parents[1])
"""The folder that holds ``models/`` and ``features/``."""

T = TypeVar("T", bound=BaseModel)
Named = TypeVar("Named", FeatureView, ModelDeclaration)


def read_declarations(root: Path | None = None) -> Declarations:
    """Read every view and model below ``root``; what is broken is kept beside what can be used."""
    root = root or ROOT
    broken: dict[Path, BadDeclaration] = {}
    tiers = _Tiers.read(root / "models" / "tiers.yaml", broken)
    views = dict(_read_all(root / "features", "view.yaml", FeatureView, "features.sql", broken, read_declaration))
    views |= dict(_read_kept(root / "features", views, broken))
    models = {}
    for name, model in _read_all(root / "models", "model.yaml", ModelDeclaration, "label.sql", broken, tiers.model):
        file = root / "models" / name / "model.yaml"
        mended_first = {view.parent.name for view in broken if view.name == "view.yaml"} - views.keys()
        problems = list(_against_views(file, model, views, mended_first))
        if problems:
            broken[file] = BadDeclaration(file, problems)
        else:
            models[name] = model
    return Declarations(views, models, broken)


def trusted_types(models: Path | None = None) -> frozenset[str]:
    """The types of a team's own that a model file may construct; none where there is no such file.

    Args:
        models: the folder it is in; None for the project's.

    Raises:
        BadDeclaration: when the file is broken.
    """
    file = (models or ROOT / "models") / TRUSTED_FILE
    return frozenset(read_declaration(file, TrustedTypes).types) if file.is_file() else frozenset()


def trusted_file(models: Path | None = None) -> str:
    """The file of ``trusted_types``, as a person would name it."""
    return shown((models or ROOT / "models") / TRUSTED_FILE)


@cache
def declarations() -> Declarations:
    """The project's declarations, read once a process."""
    return read_declarations()


def _read_all(
    folder: Path,
    file_name: str,
    kind: type[Named],
    sql: str,
    broken: dict[Path, BadDeclaration],
    read: Callable[[Path, type[Named]], Named],
) -> Iterator[tuple[str, Named]]:
    for file in sorted(folder.glob(f"*/{file_name}")):
        try:
            declared = read(file, kind)
            if declared.name != file.parent.name:
                where = line_of(file, ("name",))
                raise BadDeclaration(
                    file, [f"{where}: name is {declared.name!r}; it must be the folder's name, {file.parent.name!r}."]
                )
            if not (file.parent / sql).is_file():
                raise BadDeclaration(file, [f"{shown(file)}: {sql} is missing beside it; write the query there."])
            _require_text(file, file.parent / sql)
        except BadDeclaration as error:
            broken[file] = error
        else:
            yield declared.name, declared


def _require_text(file: Path, sql: Path) -> None:
    """Refuse a query that is not UTF-8: a task would only learn it when it reads it."""
    try:
        sql.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadDeclaration(file, [_no_text(sql, error)]) from None


def _no_text(file: Path, error: UnicodeDecodeError) -> str:
    line = error.object[: error.start].count(b"\n") + 1
    return f"{shown(file)}:{line}: the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as UTF-8."


def _read_kept(
    folder: Path, current: Mapping[str, FeatureView], broken: dict[Path, BadDeclaration]
) -> Iterator[tuple[str, FeatureView]]:
    """Older versions of views that are kept beside the current one: ``<view>/v1/view.yaml`` with its features.sql."""
    for file in sorted(folder.glob("*/v*/view.yaml")):
        try:
            kept = read_declaration(file, FeatureView)
            kept._is_kept = True
            problems = list(_against_current(file, kept, current))
            if problems:
                raise BadDeclaration(file, problems)
        except BadDeclaration as error:
            broken[file] = error
        else:
            yield kept.ref, kept


def _against_current(file: Path, kept: FeatureView, current: Mapping[str, FeatureView]) -> Iterator[str]:
    name, place = file.parents[1].name, file.parent.name
    if kept.name != name:
        yield f"{line_of(file, ('name',))}: name is {kept.name!r}; it must be that of the view, {name!r}."
    if place != f"v{kept.version}":
        yield f"{line_of(file, ('version',))}: version is {kept.version}; the folder {place!r} says another."
    if name in current and kept.version >= current[name].version:
        newest = current[name].version
        yield f"{line_of(file, ('version',))}: version is {kept.version}; it must be below the current one, {newest}."
    if not (file.parent / "features.sql").is_file():
        yield f"{shown(file)}: features.sql is missing beside it; keep the old query there."
    if kept.slug in current:
        yield f"{shown(file)}: the view {kept.slug!r} has the same Dag name; rename that view."


def read_declaration(file: Path, kind: type[T]) -> T:
    """Read one YAML file into its type.

    Raises:
        BadDeclaration: naming file, line, field, value and what is allowed.
    """
    data = mapping_in(file)
    try:
        declared = kind.model_validate(data)
    except ValidationError as error:
        raise BadDeclaration(file, [_problem(file, kind, e) for e in error.errors(include_url=False)]) from None
    if hasattr(declared, "_folder"):
        declared._folder = file.parent
    return declared


def mapping_in(file: Path) -> dict[str, Any]:
    """What the file holds, before it is judged.

    Raises:
        BadDeclaration: when it is no YAML, gives a key twice, or is no mapping.
    """
    try:
        data = yaml_text.parsed(file.read_text(encoding="utf-8"))
    except yaml_text.KeyGivenTwice as error:
        raise BadDeclaration(file, [f"{shown(file)}:{line}: {told}" for line, told in error.problems]) from None
    except UnicodeDecodeError as error:
        raise BadDeclaration(file, [_no_text(file, error)]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{shown(file)}:{mark.line + 1}" if mark else shown(file)
        raise BadDeclaration(
            file, [f"{place}: this is not YAML: {getattr(error, 'problem', None) or error}."]
        ) from None
    if not isinstance(data, dict):
        raise BadDeclaration(file, [f"{shown(file)}: the file must be a mapping of fields, not {type(data).__name__}."])
    return data


@dataclass(frozen=True, slots=True)
class _Tiers:
    """The usable tiers by name, and the problems of the file's broken ones."""

    file: Path
    usable: dict[str, Tier]

    @classmethod
    def read(cls, file: Path, broken: dict[Path, BadDeclaration]) -> _Tiers:
        """A file that is missing gives no defaults; one that is broken breaks the models of its broken tiers."""
        if not file.is_file():
            return cls(file, {name: getattr(Tiers(), name) for name in Tiers.model_fields})
        try:
            tiers = read_declaration(file, Tiers)
        except BadDeclaration as error:
            broken[file] = error
            return cls(file, {})
        usable, problems = {}, list[str]()
        for name in Tiers.model_fields:
            tier: Tier = getattr(tiers, name)
            wrong = list(_wrong_defaults(file, name, tier))
            problems += wrong
            if not wrong:
                usable[name] = tier
        if problems:
            broken[file] = BadDeclaration(file, problems)
        return cls(file, usable)

    def model(self, file: Path, kind: type[ModelDeclaration]) -> ModelDeclaration:
        """Read a model, its tier's defaults below it."""
        own = mapping_in(file)
        name = own.get("tier", kind.model_fields["tier"].default)
        if isinstance(name, str) and name in Tiers.model_fields and name not in self.usable:
            place = line_of(file, ("tier",))
            raise BadDeclaration(
                file, [f"{place}: tier is {name!r}, and {shown(self.file)} is broken; mend that file."]
            )
        tier = self.usable.get(name, Tier()) if isinstance(name, str) else Tier()
        try:
            declared = kind.model_validate(tier.below(own))
        except ValidationError as error:
            problems = [self._told(file, kind, e, own, str(name)) for e in error.errors(include_url=False)]
            raise BadDeclaration(file, problems) from None
        declared._folder, declared._tier = file.parent, tier
        return declared

    def _told(self, file: Path, kind: type[BaseModel], error: Any, own: Mapping[str, Any], tier: str) -> str:
        problem = _problem(file, kind, error)
        block, *rest = error["loc"] or ("",)
        given = own.get(block)
        if block in BLOCKS and rest and not (isinstance(given, Mapping) and rest[0] in renamed(given)):
            asked = f"{block}.{rest[0]}" if getattr(self.usable.get(tier), block, {}).get(rest[0]) is not None else ""
            return problem + (f" {shown(self.file)} declares {asked} for tier {tier!r}." if asked else "")
        return problem


_SHADOW = {"min_rows": 1, "min_days": 1, "max_days": 10**6, "disagreement": [0.0, 1.0], "p99_delta_at_most": 1.0}


def _wrong_defaults(file: Path, name: str, tier: Tier) -> Iterator[str]:
    """What is wrong with a tier's blocks, checked as the types that a model's are, with the rest filled in."""
    always = [name for name, field in DeclaredGates.model_fields.items() if field.is_required()]
    gates = {
        gate: block
        for gate, block in DeclaredGates.least().items()
        if gate in always or tier.gates.get(gate) is not None
    }
    blocks: Any = (("gates", DeclaredGates, gates), ("shadow", DeclaredShadow, _SHADOW), ("promotion", Promotion, {}))
    for block, kind, rest in (("approvers", DeclaredApprovers, {}), *blocks):
        try:
            kind.model_validate(merged(rest, getattr(tier, block)))
        except ValidationError as error:
            for each in error.errors(include_url=False):
                yield _problem(file, kind, each, (name, block))


def _against_views(
    file: Path, model: ModelDeclaration, views: dict[str, FeatureView], mended_first: Collection[str] = ()
) -> Iterator[str]:
    for i, use in enumerate(model.views):
        view, here = views.get(use.view), ("views", i, "view")
        if view is None and use.view in mended_first:
            yield f"{line_of(file, here)}: views.{i}.view is {use.view!r}, whose own file is broken; mend that file."
            continue
        if view is None:
            usable = ", ".join(sorted(views)) or "none"
            yield f"{line_of(file, here)}: views.{i}.view is {use.view!r}; usable views are: {usable}." + did_you_mean(
                use.view, list(views)
            )
            continue
        if use.version != view.version:
            declared = f"{use.view} is declared in version {view.version}"
            older = f"{use.view}@v{use.version}"
            way = f" Say view: {older}, which is kept." if older in views else ""
            yield f"{line_of(file, here)}: views.{i}.version is {use.version}; {declared}.{way}"
        for feature in use.features:
            if feature not in view.features:
                yield (
                    f"{line_of(file, here)}: views.{i}.features has {feature!r}; "
                    f"{use.view} has: {', '.join(view.features)}." + did_you_mean(feature, view.features)
                )
    yield from _gates_against_features(file, model)
    yield from _business_files(file, model)
    read: dict[str, Promising] = {use.view: views[use.view] for use in model.views if use.view in views}
    for name, why in not_servable(model.serving, read):
        yield f"{line_of(file, ('serving', 'mode'))}: serving.mode is online, and view {name}: {why}."
    spine = views.get(model.entity.view)
    if spine is None:
        return
    given = {*spine.keys, *spine.features, *spine.carries}
    unit = wrong_unit(model.serving, spine.keys)
    if unit is not None:
        yield f"{line_of(file, ('serving', 'unit'))}: {unit}."
    yield from _weight(file, model, spine)
    early = None if model.score is None else not_known_ahead(model.score, spine.ref, spine)
    if early is not None:
        yield f"{line_of(file, ('score', 'ahead'))}: {early}."
    for i, use in enumerate(model.views):
        view = views.get(use.view)
        for key in view.keys if view else ():
            if key not in given:
                yield (
                    f"{line_of(file, ('views', i, 'view'))}: views.{i}.view {use.view!r} is joined by {key!r}, "
                    f"which {model.entity.view!r} does not give; it gives: {', '.join(sorted(given))}."
                )


def _weight(file: Path, model: ModelDeclaration, spine: FeatureView) -> Iterator[str]:
    if model.weight is None:
        return
    numbers = [column.name for column in spine.columns if column.kind == "numeric"]
    allowed = [*numbers, *spine.carries]
    if model.weight not in allowed:
        yield (
            f"{line_of(file, ('weight',))}: weight is {model.weight!r}, which is no numeric feature and no carried "
            f"column of {spine.ref!r}; these are: {', '.join(allowed) or 'none'}." + did_you_mean(model.weight, allowed)
        )


def _business_files(file: Path, model: ModelDeclaration) -> Iterator[str]:
    for i, metric in enumerate(model.business_metrics):
        if not (file.parent / metric.sql).is_file():
            where = line_of(file, ("business_metrics", i, "sql"))
            yield f"{where}: business_metrics.{i}.sql is {metric.sql!r}, which is missing beside it; write it there."


def _gates_against_features(file: Path, model: ModelDeclaration) -> Iterator[str]:
    """The columns that gates name: a journey has the features of its rows, and nothing else to judge by."""
    for where, column in model.gates.columns_named():
        if column not in model.features:
            yield (
                f"{line_of(file, ('gates', *where))}: gates.{'.'.join(map(str, where))} is {column!r}, "
                f"which the model takes from no view; its features are: {', '.join(model.features)}."
                + did_you_mean(column, model.features)
            )


def _problem(file: Path, kind: type[BaseModel], error: Any, under: tuple[str, ...] = ()) -> str:
    """The error as a line; ``under`` is the place in the file of the mapping that was read as ``kind``."""
    loc = (*under, *fields_in(error))
    place = line_of(file, loc)
    if error["type"] == "value_error":
        # A check across fields speaks of one of them by its name: that is where a person has to look.
        named = error["msg"].removeprefix("Value error, ").split()[0].split(".")
        place = line_of(file, (*loc, *(int(part) if part.isdigit() else part for part in named)))
    return f"{place}: {what_is_wrong(kind, error, under)}"


def checked_declaration(data: Any, folder: Path) -> ModelDeclaration:
    """The model that ``data`` declares, which no file holds as it is; ``folder`` has the SQL that belongs to it.

    Raises:
        BadDeclaration: naming field, value and what is allowed.
    """
    try:
        declared = ModelDeclaration.model_validate(data)
    except ValidationError as error:
        problems = [what_is_wrong(ModelDeclaration, e) for e in error.errors(include_url=False)]
        raise BadDeclaration(folder, problems) from None
    declared._folder = folder
    return declared


def checked_against_views(model: ModelDeclaration, views: dict[str, FeatureView]) -> ModelDeclaration:
    """The model, when its views and the columns its gates name are there.

    Raises:
        BadDeclaration: naming the first field that they do not allow.
    """
    file = model._folder / "model.yaml"
    problems = [problem.partition(": ")[2] for problem in _against_views(file, model, views)]
    if problems:
        raise BadDeclaration(file, problems)
    return model


def line_of(file: Path, loc: tuple[Any, ...]) -> str:
    """``file:line`` of the deepest part of ``loc`` that the YAML has."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml_text.LOADER)
    line = node.start_mark.line if node else 0
    for part in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value in spellings(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return f"{shown(file)}:{line + 1}"


def shown(file: Path) -> str:
    """The path as a person would name it: from the project's root on."""
    project = ROOT.parent
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
