"""A supervisor to be killed: opens a world, fills it, pauses some of it, and goes on starting and killing.

Prints ``ready`` once the world stands and then one line per round.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import trio

from ha.world.real import open_world

PROGRAMS = Path(__file__).parents[2] / "unit" / "world"
NODES = ["alpha", "beta", "gamma"]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(directory: Path) -> None:
    async with open_world(nodes=NODES, directory=directory, preload=["world_programs"], path=[str(PROGRAMS)]) as world:
        say("ready")
        programs = {"deaf": "world_programs:deaf", "stuck": "world_programs:stuck", "idle": "world_programs:idle"}
        config = orjson.dumps({"start": programs})
        for node in NODES:
            await world.boot(node, "keeper", "world_programs:keeper", config)
        await world.signal("beta", "pause")
        while True:
            await world.signal("gamma", "kill")
            await world.boot("gamma", "keeper", "world_programs:keeper", config)
            say("round")


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
