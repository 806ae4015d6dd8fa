"""A made-up Chinese retailer, in its source systems' native shapes, with known truth.

``simulate`` draws people with traits of their own (purchase rate, lifetime, tastes, habits), runs
their purchases over the Chinese retail year, lets the retailer's messages and advertisements act on
them, and writes what each source system would have recorded of it, dirt included. docs/simulator.md
describes the process and the dirt; ``parameters`` holds every number.

What belongs here: making data. What does not: anything that reads it; no product code may import
this package's ``truth`` or read its files.
"""

from siyu.simulator.parameters import Size
from siyu.simulator.simulate import SimulationSummary, simulate
from siyu.simulator.writing import SimulationError

__all__ = ["SimulationError", "SimulationSummary", "Size", "simulate"]
