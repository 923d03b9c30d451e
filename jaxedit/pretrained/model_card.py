"""Model cards: what a folder of weights or axes holds, for those who find it.

A card is the README.md of a folder in the layout of the Hugging Face hub. It is written from what the model itself
knows, and from what the caller says of its labels and its licence.
"""

import dataclasses
from typing import Any

import jinja2
import numpy as np

from jaxedit._version import __version__
from jaxedit.axes.attribute_axes import AttributeAxes

_UNKNOWN_LICENSE = "Not stated. Weights have the licence of the model that they come from: write it here."
_UNKNOWN_LABELS = "Not stated: say here how the images were labeled before you share the axes."


@dataclasses.dataclass(frozen=True)
class CardDetails:
    """What a model does not know of itself.

    Attributes:
        license_note: the licence of the weights, in words.
        labeled: how the attribute values of the images came about, in words.
        generator: name or address of the generator, for axes.
    """

    license_note: str | None = None
    labeled: str | None = None
    generator: str | None = None


_HEAD = """\
---
library_name: jaxedit
license: other
license_name: see-model-card
tags:
- jax
- stylegan
- {{ tag }}
---

"""

_AXES = """\
# Attribute axes of a StyleGAN latent space

{{ axes.num_attributes }} labeled axes{% if details.generator %} of {{ details.generator }}{% endif %}: one axis moves \
one attribute. They edit latents of width {{ axes.pca.w_dim }}\
{% if axes.curves is not none %}, each of the {{ axes.curves.num_ws }} layers of W+ along its own curve\
{% else %}, in W{% endif %}.

| attribute | unit | usable range (standard deviations) | in the unit | r | leakage | held-out labels |
|---|---|---|---|---|---|---|
{% for row in rows -%}
| {{ row | join(" | ") }} |
{% endfor %}
*Usable range*: the amounts between which the attribute still changes and the image stays sound; – where it was not \
measured. *In the unit*: the same, from the middle of the axis. *r*: correlation of the axis with its label on latents \
that were held out. *Leakage*: mean change of the other attributes for each unit of change of this one, measured by \
linear probes of the latents.

## How the images were labeled

{{ details.labeled or unknown_labels }}

## Licence of the weights

{{ details.license_note or unknown_license }}

## Use

```python
import jaxedit

axes = jaxedit.from_pretrained("OWNER/NAME")  # or a folder
{% if details.generator -%}
generator = jaxedit.load_generator("{{ details.generator }}")
w = generator.mapping(z, truncation_psi=0.7)
{% endif -%}
edited = axes.edit(w, {{ '{"' }}{{ axes.attribute_names[0] }}{{ '": 1.0}' }})
```

Written by jaxedit {{ version }}{% if fingerprint %}; generator weights {{ fingerprint }}{% endif %}.
"""

_GENERATOR = """\
# A StyleGAN generator

| | |
|---|---|
{% for name, value in rows -%}
| {{ name }} | {{ value }} |
{% endfor %}
## Licence of the weights

{{ details.license_note or unknown_license }}

## Use

```python
import jaxedit

generator = jaxedit.from_pretrained("OWNER/NAME")  # or a folder
w = generator.mapping(z, truncation_psi=0.7)
images = generator.synthesis(w)
```

Written by jaxedit {{ version }}.
"""


def axes_card(axes: AttributeAxes, details: CardDetails) -> str:
    """The model card of axes, as Markdown."""
    report = axes.report
    rows = []
    for i, (name, unit) in enumerate(zip(axes.attribute_names, axes.attribute_units, strict=True)):
        known = "–" if report.known_labels is None else f"{int(report.known_labels[i])}"
        correlation = float(report.axis_label_correlation[i])
        leakage = float(report.leakage[i])
        rows.append((name, unit, *_ranges(axes, name, i), f"{correlation:.3f}", f"{leakage:.3f}", known))
    fingerprint = None if axes.generator_fingerprint is None else axes.generator_fingerprint[:16]
    return _render(
        _HEAD + _AXES, details, tag="attribute-axes", axes=axes, rows=rows, fingerprint=fingerprint
    )


def generator_card(config: dict[str, Any], number_count: int, details: CardDetails) -> str:
    """The model card of a generator, as Markdown.

    Args:
        config: of `describe`.
        number_count: how many numbers its arrays hold.
        details: what it does not know of itself.
    """
    rows = [(name.replace("_", " "), _text(value)) for name, value in config.items()]
    rows.append(("numbers", f"{number_count / 1e6:.1f} million"))
    return _render(_HEAD + _GENERATOR, details, tag=config["family"], rows=rows)


def _ranges(axes: AttributeAxes, name: str, index: int) -> tuple[str, str]:
    usable = axes.range(name)
    if usable is None:
        return "–", "–"
    positions = np.zeros((2, axes.num_attributes), np.float32)
    positions[:, index] = usable
    raw = np.asarray(axes.quantile_transform.inverse_transform(positions))[:, index]
    return (
        f"{usable[0]:+.1f} … {usable[1]:+.1f}".replace("-", "−"),
        f"{raw[0]:.3g} … {raw[1]:.3g}".replace("-", "−"),
    )


def _text(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value)


def _render(template: str, details: CardDetails, **values: Any) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(
        details=details,
        version=__version__,
        unknown_license=_UNKNOWN_LICENSE,
        unknown_labels=_UNKNOWN_LABELS,
        **values,
    )
