"""Speed of learning the axes: jaxedit against the same recipe as a PyTorch loop.

    python -m benchmarks.speed.axis_learning
    python -m benchmarks.speed.axis_learning --steps 100 --sweep-steps 50 --json results.json

Needs the extra `benchmark`. Both sides train on the shipped labels, with the same losses, batch size and optimizer
(Adam), from initial weights of the same kind. The measured time excludes PyTorch's evaluation on held-out data.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.reporting import Rows, finish
from jaxedit.axes import PCA, AxesConfig, fit_pca, learn_axes, learn_axes_sweep
from jaxedit.axes.learning.split import split_dataset
from jaxedit.axes.learning.training import Hyperparameters, Program, TrainingData, initialize, run_chunk
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.pretrained.registry import load_labelled_latents

PLAIN = AxesConfig(
    linear_path=False,
    decorrelation_target="identity",
    learning_rate_schedule="constant",
    weight_decay=0.0,
    input_noise=0.0,
)
"""3 layers × 256, without the parts that the PyTorch loop lacks: linear path, weight decay, schedule, input noise."""


def torch_chunks(
    config: AxesConfig, data: TrainingData, w_dim: int
) -> tuple[Callable[[int], None], Callable[[], float]]:
    """The training loop in PyTorch.

    Returns:
        A function that takes n steps, and one that computes the mean held-out axis–label correlation.
    """
    import torch
    from torch import nn

    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def network(k: int) -> list[nn.Module]:
        modules: list[nn.Module] = []
        width = k
        for _ in range(config.num_layers - 1):
            modules += [
                nn.Linear(width, config.hidden_width),
                nn.LeakyReLU(config.leaky_slope),
                nn.BatchNorm1d(config.hidden_width),
            ]
            width = config.hidden_width
        return [*modules, nn.Linear(width, k)]

    head, labels, held_head, held_labels = (torch.tensor(np.asarray(a), device=device) for a in data[:4])
    k, num_attributes = head.shape[1], labels.shape[1]
    encoder = nn.Sequential(*network(k), nn.BatchNorm1d(k)).to(device)
    decoder = nn.Sequential(*network(k)).to(device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=config.learning_rate)
    eye = torch.eye(k, device=device)
    order = iter(())

    def steps(count: int) -> None:
        nonlocal order
        encoder.train()
        decoder.train()
        for _ in range(count):
            batch = next(order, None)
            if batch is None:
                whole = len(head) // config.batch_size * config.batch_size
                order = iter(torch.randperm(len(head), device=device)[:whole].split(config.batch_size))
                batch = next(order)
            x, y = head[batch], labels[batch]
            codes = encoder(x)
            reconstruction = ((decoder(codes) - x) ** 2).sum() / (len(x) * w_dim)
            attribute = ((codes[:, :num_attributes] - y) ** 2).sum(1).mean()
            decorrelation = (torch.corrcoef(codes.T) - eye).abs().sum()
            loss = (
                reconstruction
                + config.attribute_weight * attribute
                + config.decorrelation_weight * decorrelation
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    def held_out() -> float:
        encoder.eval()
        with torch.no_grad():
            codes = encoder(held_head)[:, :num_attributes]
        a, b = codes - codes.mean(0), held_labels - held_labels.mean(0)
        return float(((a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))).mean())

    return steps, held_out


def jax_chunks(
    config: AxesConfig, data: TrainingData, w_dim: int, chunk: int
) -> tuple[Callable[[int], None], Callable[[], float], float]:
    """The training loop of jaxedit.

    Returns:
        A function that takes n steps (a multiple of `chunk`), one that returns the mean held-out axis–label
        correlation, and the seconds that compilation took.
    """
    config = dataclasses.replace(config, steps_per_chunk=chunk)
    program = Program.of(config, data.head.shape[1], w_dim, len(data.head))
    hyper = Hyperparameters.of(config)
    start = time.perf_counter()
    jax.block_until_ready(run_chunk(program, chunk, initialize(program, data, hyper), data, hyper))
    compiling = time.perf_counter() - start
    state, correlation = initialize(program, data, hyper), float("nan")

    def steps(count: int) -> None:
        nonlocal state, correlation
        for _ in range(count // chunk):
            state, curves = jax.block_until_ready(run_chunk(program, chunk, state, data, hyper))
            correlation = float(curves["held_out_axis_label_correlation"][-1])

    return steps, lambda: correlation, compiling


def per_step(dataset: LabelledLatents, pca: PCA, steps: int) -> Rows:
    """Milliseconds per step of both loops, which take turns."""
    rows: Rows = []
    for name, config in (("3 × 256", PLAIN), ("published, 8 × 512", AxesConfig.paper())):
        data = split_dataset(dataset, pca, config).data
        chunk = max(1, steps // 5)
        ours, _, compiling = jax_chunks(config, data, pca.w_dim, chunk)
        theirs, _ = torch_chunks(config, data, pca.w_dim)
        theirs(5)
        times: dict[str, list[float]] = {"jaxedit": [], "PyTorch": []}
        for _ in range(5):
            for side, take in (("jaxedit", ours), ("PyTorch", theirs)):
                start = time.perf_counter()
                take(chunk)
                times[side].append((time.perf_counter() - start) / chunk)
        for side, own in times.items():
            rows.append(
                {
                    "recipe": name,
                    "side": side,
                    "median ms/step": 1e3 * float(np.median(own)),
                    "time ratio jaxedit / this": float(np.median(times["jaxedit"]) / np.median(own)),
                    "compilation s": compiling if side == "jaxedit" else 0.0,
                }
            )
    return rows


def to_quality(dataset: LabelledLatents, pca: PCA, steps: int) -> Rows:
    """Seconds to equal quality: 0.005 below the lower of the two best mean held-out axis–label correlations."""
    data = split_dataset(dataset, pca, PLAIN).data
    chunk = max(1, steps // 20)
    ours, our_quality, compiling = jax_chunks(PLAIN, data, pca.w_dim, chunk)
    theirs, their_quality = torch_chunks(PLAIN, data, pca.w_dim)
    curves: dict[str, list[tuple[float, float]]] = {"jaxedit": [], "PyTorch": []}
    for side, take, quality in (("jaxedit", ours, our_quality), ("PyTorch", theirs, their_quality)):
        elapsed = 0.0
        for _ in range(steps // chunk):
            start = time.perf_counter()
            take(chunk)
            elapsed += time.perf_counter() - start
            curves[side].append((elapsed, quality()))
    goal = min(max(q for _, q in curve) for curve in curves.values()) - 0.005
    reached = {side: next(t for t, q in curve if q >= goal) for side, curve in curves.items()}
    return [
        {
            "side": side,
            "held-out correlation": goal,
            "seconds to this correlation": reached[side],
            "time ratio jaxedit / this": reached["jaxedit"] / reached[side],
            "compilation s": compiling if side == "jaxedit" else 0.0,
            "best correlation": max(q for _, q in curves[side]),
        }
        for side in curves
    ]


def sweep(dataset: LabelledLatents, pca: PCA, steps: int, runs: int = 32) -> Rows:
    """One sweep over many configurations against as many single runs."""
    base = dataclasses.replace(PLAIN, num_steps=steps, steps_per_chunk=steps)
    configs = [
        dataclasses.replace(
            base, seed=i % 4, attribute_weight=10.0 ** (-1 - i // 4 % 4), learning_rate=1e-3 / 2 ** (i // 16)
        )
        for i in range(runs)
    ]
    rows: Rows = []
    for name, learn in (
        (f"one sweep of {runs}", lambda: learn_axes_sweep(dataset, pca, configs, progress=False)),
        (f"{runs} single runs", lambda: [learn_axes(dataset, pca, c, progress=False) for c in configs]),
    ):
        jax.clear_caches()
        start = time.perf_counter()
        learned = learn()
        first = time.perf_counter() - start
        start = time.perf_counter()
        learn()
        rows.append(
            {
                "runs": name,
                "steps": steps,
                "seconds": time.perf_counter() - start,
                "seconds with compilation": first,
                "mean correlation": float(np.mean([a.report.axis_label_correlation for a in learned])),
            }
        )
    for row in rows:
        row["time ratio sweep / this"] = rows[0]["seconds"] / row["seconds"]
    return rows


def main(
    steps: Annotated[int, typer.Option(help="steps of the training to equal quality")] = 2000,
    sweep_steps: Annotated[int, typer.Option(help="steps of each run in the sweep")] = 250,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Compare jaxedit with PyTorch, and a sweep with single runs."""
    dataset = load_labelled_latents("mobile-stylegan-ffhq")
    pca = fit_pca(jnp.asarray(dataset.w), num_components=60)
    results: dict[str, Any] = {
        "one step (batch size 256)": per_step(dataset, pca, min(steps, 200)),
        "time to equal quality (3 × 256)": to_quality(dataset, pca, steps),
        "sweep (3 × 256)": sweep(dataset, pca, sweep_steps),
    }
    finish("axis learning", results, json, ["optax", "torch"])


if __name__ == "__main__":
    typer.run(main)
