"""What all visitors share: generator, axes, the drawer, what was taught; and what each visitor has alone."""

import dataclasses
import secrets
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.attributes.person.places import FacePlaces
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.editing import Edit
from jaxedit.errors import InputError
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder
from jaxedit.inversion.photograph import Photograph
from jaxedit.inversion.presets import preset
from jaxedit.labels.classifier_learning import assembled_classifier
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
from jaxedit.studio.drawing import Drawer, Drawn
from jaxedit.studio.edits import EditHistory, Settings
from jaxedit.studio.faces import TRUNCATION, FoundFaces, StudioFace, face_of_number, face_of_photograph
from jaxedit.studio.features import POOL, FeaturePool
from jaxedit.studio.new_slider import (
    AXES_FOLDER,
    CLASSIFIERS_FOLDER,
    TaughtLabels,
    alike_of,
    ask_for_refinement,
    forget_refinement,
    learn_with,
    load_taught,
    refine_with,
    unfinished_refinements,
    with_curve_of,
    with_taught,
)
from jaxedit.studio.private import private_folder
from jaxedit.studio.sliders import FaceScale
from jaxedit.studio.teaching import Teaching

_DATASET = 8192
"""Latents of a generator without shipped labels, which its axes read."""

FIRST_FACE = 7


@dataclasses.dataclass(frozen=True)
class StudioConfig:
    """Settings of a studio.

    Attributes:
        generator: known generator, or folder.
        axes: folder of axes, or a known generator; None for those of the studio's folder, else the generator's own.
        folder: keeps what was taught.
        is_local: whether only this machine's own user comes: projections of photographs are then kept in the cache.
        regions: where taught classifiers look: "face" for faces aligned as FFHQ is, "image" for anything else; None
            for "face" with a known generator.
        num_steps: of projections; None for the preset's.
        pool: number of latents whose images are shown for marking, and labeled.
    """

    generator: str
    folder: Path
    axes: str | None = None
    is_local: bool = True
    regions: str | None = None
    num_steps: int | None = None
    pool: int = POOL


class Studio:
    """The models, loaded once. For several threads.

    Args:
        config: settings.

    Raises:
        InputError, CheckpointError, DownloadError, OutputError: as `load_generator`, `load_axes` and `small_render`.
    """

    def __init__(self, config: StudioConfig) -> None:
        self.config = config
        generator: Any = load_generator(config.generator)
        if generator.c_dim:
            raise InputError(
                f"--generator: expected one class of {config.generator}, such as {config.generator}#0"
            )
        own = config.folder / AXES_FOLDER
        taught = config.axes is None and own.exists()
        self.axes_name = str(own) if taught else config.axes
        if self.axes_name is None and config.generator not in KNOWN_GENERATORS:
            raise InputError(f"--axes: expected the folder of axes of {config.generator}, got none")
        self.axes: AttributeAxes = load_axes(self.axes_name or config.generator, generator)
        self.generator: Any = generator
        is_known = config.generator in KNOWN_GENERATORS
        classifier = load_classifiers(face_classifiers(self.axes.attribute_names)) if is_known else None
        places = FacePlaces.from_pretrained() if is_known else None
        self.drawer = Drawer(generator, classifier, places)
        self.regions = config.regions or ("face" if is_known else "image")
        self._lock, self._making, self._refining = threading.RLock(), threading.Lock(), threading.Lock()
        self._dataset: LabelledLatents | None = None
        self._pool: FeaturePool | None = None
        self._encoder: Encoder | None = None
        self.refinements: dict[str, str] = {}
        """Sliders that are refined, by name: "waits", "runs", "done", or "failed: …"."""

    def warm_up(self) -> None:
        """Compile what visitors wait for, in the background."""
        face = face_of_number(self.generator, FIRST_FACE)
        threading.Thread(
            target=self.drawer.warm_up, args=(face, self.axes), name="studio-warm-up", daemon=True
        ).start()

    def dataset(self) -> LabelledLatents:
        """Labeled latents of all attributes of the axes: the shipped ones, or what the axes read off latents."""
        with self._lock:
            if self._dataset is None or set(self.axes.attribute_names) - set(self._dataset.attribute_names):
                self._dataset = self._labeled()
            return self._dataset

    def _labeled(self) -> LabelledLatents:
        name = self.config.generator
        shipped = load_labelled_latents(name, self.generator) if name in KNOWN_GENERATORS else None
        w = np.asarray(sample_w(self.generator, 0, _DATASET) if shipped is None else shipped.w)
        dataset = LabelledLatents(
            w, np.zeros((len(w), 0), np.float32), (), (), weights_fingerprint(self.generator)
        )
        if shipped is not None:
            dataset = shipped
        for taught in load_taught(self.config.folder):
            if taught.name in self.axes.attribute_names and taught.name not in dataset.attribute_names:
                dataset = with_taught(dataset, taught)
        missing = [n for n in self.axes.attribute_names if n not in dataset.attribute_names]
        if missing:
            columns = [self.axes.attribute_names.index(n) for n in missing]
            read = np.concatenate(
                [np.asarray(self.axes.read(w[i : i + 1024])) for i in range(0, len(w), 1024)]
            )
            dataset = dataclasses.replace(
                dataset,
                values=np.concatenate([np.asarray(dataset.values), read[:, columns]], axis=1),
                attribute_names=(*dataset.attribute_names, *missing),
                attribute_units=(*dataset.attribute_units, *(self.axes.attribute_units[i] for i in columns)),
            )
        return dataset

    @property
    def has_encoder(self) -> bool:
        """Whether a quick look at a photograph is possible."""
        return self.config.generator in KNOWN_GENERATORS

    def projection(self, *, is_quick: bool) -> tuple[ProjectionConfig, Encoder | None]:
        """How photographs are projected: from an encoder's latent in a few steps, or thoroughly.

        Raises:
            InputError: if there is no encoder.
            DownloadError: if its features cannot be fetched.
        """
        if not is_quick:
            return preset(None, num_steps=self.config.num_steps), None
        quick = preset("quick", has_encoder=self.has_encoder)
        with self._lock:
            if self._encoder is None:
                self._encoder = load_encoder(self.config.generator, self.generator)
            return quick, self._encoder

    def pool(self) -> FeaturePool:
        """Features of the faces to mark; begins to make them."""
        with self._lock:
            if self._pool is None:
                self._pool = FeaturePool(
                    self.drawer, np.asarray(self.dataset().w)[: self.config.pool], self.regions
                )
        self._pool.start()
        return self._pool

    @property
    def can_refine(self) -> bool:
        """Whether all attributes can be read off images, so that a new axis can be refined."""
        return self.drawer.classifier is not None

    def add_slider(self, teaching: Teaching, *, refines: bool = False) -> AttributeAxes:
        """Learn axes with what was taught beside the others, and keep them in the folder with the classifier.

        Args:
            teaching: what was taught.
            refines: whether the new axis is refined through images, afterwards and in the background.

        Raises:
            InputError: if nothing was learned, the name is taken, too few faces are labeled, or an axis cannot be
                refined.
            OutputError: if the folder cannot be written.
        """
        if refines and not self.can_refine:
            raise InputError("refine: expected a generator whose attributes can be read off images")
        scores = teaching.scores()
        taught = TaughtLabels(teaching.name, np.arange(len(scores)), scores)
        pool = self.pool()
        with self._making:  # one after the other; nobody else waits for it
            axes = learn_with(self.axes, self.dataset(), taught, progress=True)
            if teaching.fitted is not None and pool.network is not None:
                learned = assembled_classifier(pool.network, [teaching.fitted], pool.sizes())
                learned.save(self.config.folder / CLASSIFIERS_FOLDER / teaching.name)
            taught.save(self.config.folder)
            self._take(axes)
        if refines:
            ask_for_refinement(self.config.folder, teaching.name)
            self.refine()
        return axes

    def refine(self) -> threading.Thread:
        """Refine what was asked for, and go on with what was interrupted, in the background."""
        for name in unfinished_refinements(self.config.folder):
            self.refinements.setdefault(name, "waits")

        def work() -> None:
            with self._refining:  # one after the other; a new slider need not wait for it
                for name in unfinished_refinements(self.config.folder):
                    self.refinements[name] = "runs"
                    try:
                        self._refine(name)
                        self.refinements[name] = "done"
                    except Exception as error:  # the studio goes on; the page and the terminal say why
                        self.refinements[name] = f"failed: {error}"
                        print(f"jaxedit: {name} is not refined: {error}", file=sys.stderr)

        thread = threading.Thread(target=work, name="studio-refinement", daemon=True)
        thread.start()
        return thread

    def _refine(self, name: str) -> None:
        folder, classifier = self.config.folder, self.drawer.classifier
        if name not in self.axes.attribute_names or classifier is None:
            forget_refinement(folder, name)  # not asked again at each start
            raise InputError(
                f"{name}: expected a slider of these axes, whose attributes can be read off images"
            )
        axes, alike = self.axes, alike_of(self.dataset(), name)
        try:
            refined = refine_with(self.generator, axes, name, classifier, folder, alike)
        except InputError:  # what was begun is of axes that have changed since
            ask_for_refinement(folder, name)
            refined = refine_with(self.generator, axes, name, classifier, folder, alike)
        with self._making:
            self._take(refined if self.axes is axes else with_curve_of(self.axes, refined, name))
        forget_refinement(folder, name)

    def _take(self, axes: AttributeAxes) -> None:
        """Keep axes, and show them from now on."""
        axes.save(self.config.folder / AXES_FOLDER)
        self.axes, self.axes_name = axes, str(self.config.folder / AXES_FOLDER)


class Session:
    """One visitor: a face, edits, uploads in a private folder, and what is being taught.

    Args:
        studio: that all share.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.token = secrets.token_urlsafe(16)
        self.visit = ""
        """The page's own secret, by which its requests are told from those of others."""
        self.folder = private_folder()
        self.history = EditHistory()
        self.found: FoundFaces | None = None
        self.teaching: Teaching | None = None
        self.axes = studio.axes
        self._asking, self._asked = threading.Lock(), 0
        self.face = face_of_number(studio.generator, FIRST_FACE)
        self.set_face(self.face)

    def set_face(self, face: StudioFace) -> None:
        """Take another face; the edits stay."""
        if face is not self.face:
            self.studio.drawer.forget(self.face)
        self.face = face
        self.scale = FaceScale.of(self.axes, face.w, face.pivot)

    def take_photograph(self, photograph: Photograph, number: int, *, is_quick: bool) -> None:
        """Take a face of a photograph, which is projected.

        Args:
            photograph: the photograph.
            number: of the face, 1 for the largest.
            is_quick: as for `Studio.projection`.

        Raises:
            InputError, DownloadError, OutputError: as `face_of_photograph` and `Studio.projection`.
        """
        studio = self.studio
        config, encoder = studio.projection(is_quick=is_quick)
        face = face_of_photograph(
            studio.generator,
            photograph,
            number,
            generator_name=studio.config.generator,
            config=config,
            encoder=encoder,
            private=None if studio.config.is_local else self.folder,
        )
        self.set_face(dataclasses.replace(face, preset="quick" if is_quick else None))

    def take_new_axes(self) -> None:
        """Use the axes that the studio has now: another slider may have been made."""
        if self.axes is not self.studio.axes:
            self.axes = self.studio.axes
            self.set_face(self.face)

    def in_deviations(self, amounts: Mapping[str, float | int]) -> dict[str, float]:
        """Amounts of sliders as standard deviations, without those that do not move."""
        moved = {name: amount for name, amount in amounts.items() if amount}
        return self.scale.in_deviations(moved)

    def take_amounts(self, amounts: Mapping[str, float | int]) -> None:
        """Take amounts of sliders as the next step of the history.

        Raises:
            InputError: if an attribute is unknown, or an amount is not finite or beyond all sense.
        """
        history = self.history.changed(amounts)
        Edit.of(self.in_deviations(amounts), self.axes.attribute_names)
        self.history = history

    def preview(self, amounts: Mapping[str, float | int]) -> np.ndarray | None:
        """A small image, for amounts of sliders; None if this visitor has asked for another one meanwhile."""
        with self._asking:
            self._asked += 1
            mine = self._asked
        return self.studio.drawer.preview(
            self.face, self.axes, self.in_deviations(amounts), lambda: mine == self._asked
        )

    def draw(self) -> Drawn:
        """The whole images, for the present edits; the last ones are kept."""
        amounts = self.in_deviations(self.history.amounts)
        return self.studio.drawer.draw(self.face, self.axes, amounts)

    def notes(self) -> tuple[str, ...]:
        """What the present edits did that was not asked."""
        drawn = self.draw()
        return self.studio.drawer.notes(self.face, self.axes, self.in_deviations(self.history.amounts), drawn)

    def settings(self) -> Settings:
        """What repeats the present edits elsewhere."""
        is_photo = self.face.photograph is not None
        return Settings(
            amounts={k: round(v, 4) for k, v in self.in_deviations(self.history.amounts).items()},
            generator=self.studio.config.generator,
            axes=self.studio.axes_name,
            seed=self.face.seed,
            photo=self.face.photograph.path.name if is_photo and self.face.photograph else None,
            truncation_psi=TRUNCATION,
            preset=self.face.preset,
        )

    def close(self) -> None:
        """Forget the face, and remove the private folder."""
        self.studio.drawer.forget(self.face)
        shutil.rmtree(self.folder, ignore_errors=True)
