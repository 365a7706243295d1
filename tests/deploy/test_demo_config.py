"""The demo's settings name what its lines can do wrong, no more and no less."""

from local_services import ROOT

from inspector.settings import load
from inspector.simulator.catalogue import NAMES, product_settings


def test_the_demos_products_are_those_of_its_lines() -> None:
    settings = load(ROOT / "deploy" / "demo.yaml")
    products = settings.domain_products()
    assert {name: products[name] for name in NAMES} == {name: product_settings(name) for name in NAMES}
    assert {camera.product for camera in settings.domain_cameras().values()} == set(NAMES)
