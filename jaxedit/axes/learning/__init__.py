"""Learning the axes: data in, `AttributeAxes` out."""
