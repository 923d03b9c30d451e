"""How pages with sliders show attributes of faces: their groups, their order, and the units that people know."""

from collections.abc import Sequence

KNOWN_UNITS = ("years", "degrees")
"""Units in which people think."""

OWN_GROUP = "My own"

GROUPS: dict[str, tuple[str, ...]] = {
    "Face": ("age", "gender", "face_width", "jaw_width", "face_length", "nose_width", "facial_hair"),
    "Expression": (
        "smile",
        "teeth",
        "mouth_opening",
        "mouth_width",
        "eye_opening",
        "eyes_closed",
        "brow_height",
    ),
    "Pose": ("yaw", "pitch", "roll"),
    "Hair": (
        "hair_length",
        "fringe",
        "curl",
        "hair_lightness",
        "hair_warmth",
        "black_hair",
        "blond_hair",
        "red_hair",
        "gray_hair",
    ),
    "Accessories": ("eyeglasses", "sunglasses", "headwear", "earrings", "makeup"),
    "Skin and light": (
        "skin_lightness",
        "skin_redness",
        "skin_yellowness",
        "lip_redness",
        "light_from_right",
    ),
    "Background": ("background_lightness", "background_warmth"),
}
"""Groups of the page, and their attributes."""

SIDES = {
    "gender": "masculine – feminine",
    "yaw": "turned left – right",
    "pitch": "looks down – up",
    "light_from_right": "light from the left – right",
}
"""What less and more of an attribute is, where its name does not say it."""


def group_of(name: str) -> str:
    """The group of an attribute; attributes that this library does not name are a visitor's own."""
    return next((group for group, names in GROUPS.items() if name in names), OWN_GROUP)


def in_order(names: Sequence[str]) -> list[str]:
    """Attributes as the page shows them: by groups, one's own at the end."""
    known = [name for names_ in GROUPS.values() for name in names_]
    return sorted(
        names, key=lambda name: (known.index(name) if name in known else len(known), names.index(name))
    )
