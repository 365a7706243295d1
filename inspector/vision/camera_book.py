"""What is in use for each camera now: settings, product, bank and calibrations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from inspector.domain.artefact import Calibration, ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.domain.records import from_json
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.domain.weights import WeightsManifest
from inspector.vision.bank_features import DETAIL, FINE, FINE_CELLS, TEXTURE, chosen_levels, only_in_place
from inspector.vision.bank_file import parse_bank
from inspector.vision.detail_net import cells
from inspector.vision.frame_pixels import FINE_PX, is_finer
from inspector.vision.matching import InPlace
from inspector.vision.normal_map import NormalMap
from inspector.vision.plan import BankInUse, Plan
from inspector.vision.reference_bank import ReferenceBank
from inspector.vision.tiling import MAX_SIDE_PX, Tiling

_LOG = logging.getLogger(__name__)
# Where new cameras are served, frames name them: what has been said about each must not grow without end.
_MOST_TOLD = 1000


class CameraBook:
    """Looked up and changed on one thread, which scores; any may ask ``find_camera``, ``tiling`` and ``fine_px``."""

    def __init__(
        self,
        manifest: WeightsManifest,
        products: Mapping[str, ProductSettings],
        cameras: Mapping[str, CameraSettings],
        allow_unknown: bool,
        level_widths: Mapping[str, int],
        tile: Tiling,
        scoring: ScoringSettings,
    ) -> None:
        """``products`` has one named ``default``; ``level_widths`` are the features of a patch on each bank level.

        Raises:
            BadInputError: more tiles than ``MAX_SIDE_PX`` allows for tiles of the size of ``tile``.
        """
        self._tile = tile
        self._scoring = scoring
        for product in products.values():
            self._check_tiles(product.tiles)
        self._manifest = manifest
        self._products = dict(products)
        self._cameras = dict(cameras)
        self._allow_unknown = allow_unknown
        self._level_widths = dict(level_widths)
        self._banks: dict[str, BankInUse] = {}
        self._told: set[tuple[str, str]] = set()
        self._calibrations: dict[tuple[str, ScoreMode, str | None, int], tuple[str, Calibration]] = {}

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        """Return a camera's settings; the default ones for a new camera, None if new cameras may not be served."""
        found = self._cameras.get(camera_id)
        return CameraSettings() if found is None and self._allow_unknown else found

    def product(self, name: str) -> ProductSettings:
        """Return a product's settings; the default ones for a product without settings."""
        return self._products[self._known(name)]

    def tiling(self, camera_id: str, product_name: str) -> Tiling:
        """Return the tiles of a frame: those its camera's bank was made with, or else its product's.

        So new settings alone never part a camera from its bank; they count from its next enrolment on.
        """
        return self._tile.of(self._tiles(self._bank(camera_id), self.product(product_name)))

    def fine_px(self, camera_id: str, product_name: str) -> int | None:
        """Return the side of the finer square that a frame is compared with others on; None: it is not.

        Whether the camera stands still is known later, by its frames; one whose bank says that it does not may be
        enrolled anew with these.
        """
        scoring = self._scoring
        wanted = FINE in chosen_levels(scoring.bank_levels, "none") and scoring.bank_matching != "anywhere"
        mode = self._cameras.get(camera_id, CameraSettings()).mode
        finer = is_finer(self.tiling(camera_id, product_name).side_px)
        return FINE_PX if wanted and finer and mode is not CameraMode.ZERO_SHOT else None

    def plan(self, camera_id: str, product_name: str) -> Plan:
        """Say how to score and judge a frame of ``camera_id`` that shows ``product_name``.

        A product without settings is inspected as ``default``. Mode ``bank`` without a bank falls back to zero-shot,
        and the result says so. See ``CameraMode`` for what ``auto`` takes.
        """
        camera = self._cameras.get(camera_id, CameraSettings())
        product, bank = self._known(product_name), self._bank(camera_id)
        if bank is not None:
            return self._plan(camera_id, camera, product, ScoreMode.BANK, bank)
        zero_shot = self._plan(camera_id, camera, product, ScoreMode.ZERO_SHOT, None)
        calibrated = zero_shot.calibration_version is not None
        if camera.mode is CameraMode.MUTUAL or (camera.mode is CameraMode.AUTO and not calibrated):
            return replace(self._plan(camera_id, camera, product, ScoreMode.MUTUAL, None), otherwise=zero_shot)
        return zero_shot

    def calibration_plan(self, camera_id: str, product_name: str) -> Plan:
        """Return the plan that thresholds are fitted for: as ``plan``, but that an ``auto`` camera has no neighbours.

        Whoever gives its normal frames says what is normal; neighbours would only be a guess at it.
        """
        plan = self.plan(camera_id, product_name)
        return plan.otherwise if plan.camera.mode is CameraMode.AUTO and plan.otherwise is not None else plan

    def mutual_plan(self, camera_id: str, product_name: str) -> Plan:
        """Return the plan of a frame that is scored mutually whatever the camera's mode, and judged by its own map."""
        camera = self._cameras.get(camera_id, CameraSettings())
        plan = self._plan(camera_id, camera, self._known(product_name), ScoreMode.MUTUAL, None)
        return replace(plan, image_map=None, pixel_map=None, calibration_version=None)

    def remark_on_threshold(self, plan: Plan) -> None:
        """Warn, once for a camera and product, where scores meet a threshold of scores that are made another way.

        The weights' image threshold is of their own kind of image score and of one tile; others, and the worst of
        several views, are distributed otherwise.
        """
        stream = (plan.camera_id, plan.product_name)
        own = plan.calibration_version is not None or plan.camera.image_threshold is not None
        as_tuned = self._scoring.image_score == self._manifest.image_score and plan.tiles == 1
        if plan.mode is not ScoreMode.ZERO_SHOT or own or as_tuned or stream in self._told:
            return
        if len(self._told) < _MOST_TOLD:
            self._told.add(stream)
            _LOG.warning(
                "camera %s, product %s: the image threshold %.3g is the weights', of scoring.image_score: %s and "
                "tiles: 1; scores made with %s and tiles: %d are of another scale: calibrate the camera",
                *stream,
                plan.image_threshold,
                self._manifest.image_score,
                self._scoring.image_score,
                plan.tiles,
            )

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        """Use these settings for a camera."""
        # A new dict instead of a change in place, so that threads that look cameras up see the old or the new one.
        self._cameras = {**self._cameras, camera_id: settings}

    def set_product(self, name: str, settings: ProductSettings) -> None:
        """Use these settings for a product.

        Raises:
            BadInputError: too many tiles.
        """
        self._check_tiles(settings.tiles)
        self._products = {**self._products, name: settings}
        for camera_id in self._banks:
            self._remark_on_tiles(camera_id)

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        """Use a bank for a camera.

        Raises:
            BadInputError: not a bank, made with another model or other weights, or not of the tiles it says.
        """
        bank, info = parse_bank(data)
        expected = (self._manifest.model, self._manifest.image_size_px, self._manifest.version)
        got = (info.model, info.image_size_px, info.weights_version)
        if got != expected:
            raise BadInputError(
                "a bank made with {} at {} px, weights {:.12}".format(*expected),
                "{} at {} px, weights {:.12}".format(*got),
                f"enrol camera {camera_id} again with the weights in use",
            )
        widths = {name: level.width for name, level in bank.levels.items()}
        there_or_not = only_in_place(self._level_widths)
        optional = {name: width for name, width in self._level_widths.items() if name in there_or_not}
        if optional | widths != self._level_widths:
            raise BadInputError(f"bank features of widths {self._level_widths}", str(widths), "enrol the camera again")
        variant = self._scoring.variant(ScoreMode.BANK)
        if info.variant != variant:
            raise BadInputError(
                f"a bank made with scoring settings {variant or 'as shipped'}",
                info.variant or "as shipped",
                f"enrol camera {camera_id} again with the settings in use",
            )
        self._check_tiles(info.tiles)
        self._check_grids(bank, info.tiles)
        self.use_bank(camera_id, BankInUse(version, bank, info))

    def use_bank(self, camera_id: str, in_use: BankInUse) -> None:
        """Use a bank, known to fit, for a camera."""
        self._banks = {**self._banks, camera_id: in_use}
        self._remark_on_tiles(camera_id)

    def set_calibration(self, version: str, data: bytes) -> None:
        """Use a calibration (JSON) for its camera, mode, bank and number of tiles.

        Raises:
            BadInputError: not a calibration, or made with other weights or other settings of its mode's scores.
        """
        calibration = from_json(Calibration, data)
        if calibration.weights_version != self._manifest.version:
            raise BadInputError(
                f"a calibration made with weights {self._manifest.version:.12}",
                f"weights {calibration.weights_version:.12}",
                f"calibrate camera {calibration.camera_id} again with the weights in use",
            )
        variant = self._scoring.variant(calibration.mode)
        if calibration.variant != variant:
            raise BadInputError(
                f"a calibration made with scoring settings {variant or 'as shipped'}",
                calibration.variant or "as shipped",
                f"calibrate camera {calibration.camera_id} again with the settings in use",
            )
        key = (calibration.camera_id, calibration.mode, calibration.bank_version, calibration.tiles)
        self._calibrations[key] = (version, calibration)

    def _known(self, product_name: str) -> str:
        return product_name if product_name in self._products else "default"

    def _bank(self, camera_id: str) -> BankInUse | None:
        camera = self._cameras.get(camera_id, CameraSettings())
        has_none = camera.mode in (CameraMode.ZERO_SHOT, CameraMode.MUTUAL)
        return None if has_none else self._banks.get(camera_id)

    @staticmethod
    def _tiles(bank: BankInUse | None, product: ProductSettings) -> int:
        return product.tiles if bank is None else bank.info.tiles

    def _check_tiles(self, tiles: int) -> None:
        if tiles > 1 and self._tile.of(tiles).side_px > MAX_SIDE_PX:
            most = max(fewer for fewer in range(1, tiles) if fewer == 1 or self._tile.of(fewer).side_px <= MAX_SIDE_PX)
            raise BadInputError(
                f"at most {most} tiles a side with a model of {self._tile.tile_px} px", str(tiles), "use fewer tiles"
            )

    def _check_grids(self, bank: ReferenceBank, tiles: int) -> None:
        """Refuse a bank that is compared place by place on another grid than frames of these tiles have."""
        patches = self._tile.of(tiles).grid_side
        sides = {FINE: FINE_CELLS, TEXTURE: 2 * patches, DETAIL: cells(self._tile.of(tiles).side_px)}
        if FINE in bank.levels and not is_finer(self._tile.of(tiles).side_px):
            raise BadInputError(f"a bank of {tiles} tiles a side without level {FINE}", "one with it", "enrol again")
        for name, level in bank.levels.items():
            side = sides.get(name, patches)
            if not isinstance(level.matcher, InPlace | NormalMap):
                continue
            grid = tuple(level.matcher.patches.shape[1:3])
            if grid != (side, side):
                raise BadInputError(
                    f"a bank of {tiles} tiles a side, {side} x {side} places of level {name}", str(grid), "enrol again"
                )

    def _remark_on_tiles(self, camera_id: str) -> None:
        bank, product = self._banks[camera_id], self._cameras.get(camera_id, CameraSettings()).product
        wanted = self.product(product).tiles
        if bank.info.tiles != wanted:
            _LOG.warning(
                "camera %s goes on with its bank, made with tiles: %d; product %s says %d: enrol it again for these",
                camera_id,
                bank.info.tiles,
                product,
                wanted,
            )

    def _plan(
        self, camera_id: str, camera: CameraSettings, product_name: str, mode: ScoreMode, bank: BankInUse | None
    ) -> Plan:
        product = self._products[product_name]
        tiles = self._tiles(bank, product)
        calibrated = self._calibrations.get((camera_id, mode, None if bank is None else bank.version, tiles))
        image_map, pixel_map = self._maps(mode, bank, None if calibrated is None else calibrated[1])
        return Plan(
            camera_id=camera_id,
            camera=camera,
            product_name=product_name,
            product=product,
            tiles=tiles,
            mode=mode,
            bank=bank,
            image_map=image_map,
            pixel_map=pixel_map,
            image_threshold=_first(
                camera.image_threshold, self._threshold(mode, image_map, self._manifest.image_threshold)
            ),
            pixel_threshold=_first(
                camera.pixel_threshold, self._threshold(mode, pixel_map, self._manifest.pixel_threshold)
            ),
            calibration_version=None if calibrated is None else calibrated[0],
            finer=calibrated is not None and calibrated[1].finer,
        )

    def _maps(
        self, mode: ScoreMode, bank: BankInUse | None, calibration: Calibration | None
    ) -> tuple[ScoreMap | None, ScoreMap | None]:
        if calibration is not None:
            return calibration.image, calibration.pixel
        if bank is not None:
            return bank.info.image, bank.info.pixel
        if mode is not ScoreMode.ZERO_SHOT:
            return None, None
        own = self._manifest
        return _shipped_map(own.image_threshold, own.image_scale), _shipped_map(own.pixel_threshold, own.pixel_scale)

    @staticmethod
    def _threshold(mode: ScoreMode, score_map: ScoreMap | None, raw: float) -> float:
        return raw if mode is ScoreMode.ZERO_SHOT and score_map is None else 0.5


def _first(override: float | None, value: float) -> float:
    return value if override is None else override


def _shipped_map(midpoint: float, scale: float) -> ScoreMap | None:
    return ScoreMap(midpoint, scale) if scale > 0 else None
