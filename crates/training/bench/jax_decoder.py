"""Training speed of `tandem train llm` beside the same decoder in JAX, on this machine's CPU.

Same shapes for both: 12,101 items, 64 wide, 2 blocks, 2 heads, batch 128 x 50, dropout 0.2,
AdamW, full softmax and 256 sampled negatives. JAX compiles the whole step (jit) and updates
the whole table; Burn updates the rows that a batch touches.

    cargo build --release -p tandem-training --example training_speed
    python3 -m venv venv && venv/bin/pip install jax
    venv/bin/python crates/training/bench/jax_decoder.py target/release/examples/training_speed

The two take turns, so that a busy machine slows both; a line a loss and round is printed,
then the ratio of the medians.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp

ITEMS, DIMS, BLOCKS, HEADS, BATCH, LENGTH = 12_101, 64, 2, 2, 128, 50
INNER, DROPOUT, RATE, DECAY = 192, 0.2, 1e-3, 0.01
STEPS, ROUNDS = 3, 3
# As `tandem` sets it for itself: freed tensors are kept for the next step.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}


def init(key):
    def normal(shape, std):
        nonlocal key
        key, now = jax.random.split(key)
        return std * jax.random.normal(now, shape)

    def linear(inputs, outputs):
        return normal((inputs, outputs), 0.5 / inputs**0.5)

    def block():
        return {
            "attn_norm": jnp.ones(DIMS), "ffn_norm": jnp.ones(DIMS),
            "q": linear(DIMS, DIMS), "k": linear(DIMS, DIMS), "v": linear(DIMS, DIMS),
            "o": linear(DIMS, DIMS), "gate": linear(DIMS, INNER), "up": linear(DIMS, INNER),
            "down": linear(INNER, DIMS),
        }

    return {
        "items": normal((ITEMS, DIMS), 0.05),
        "blocks": [block() for _ in range(BLOCKS)],
        "norm": jnp.ones(DIMS),
    }


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * weight


def rotate(x):
    """Rotary positions on adjacent pairs of [batch, length, heads, width]."""
    width = x.shape[-1]
    angle = jnp.arange(x.shape[1])[:, None] * 10_000.0 ** (-jnp.arange(0, width, 2) / width)
    cos, sin = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


def loss(weights, key, windows, negatives):
    def drop(x):
        nonlocal key
        key, now = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(now, 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0)

    x = drop(weights["items"][windows[:, :-1]])
    mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    for block in weights["blocks"]:
        h = rms_norm(x, block["attn_norm"])
        q, k, v = ((h @ block[n]).reshape(BATCH, LENGTH, HEADS, -1) for n in "qkv")
        scores = jnp.einsum("bqhw,bkhw->bhqk", rotate(q), rotate(k)) / (DIMS / HEADS) ** 0.5
        attention = drop(jax.nn.softmax(jnp.where(mask, scores, -1e9)))
        context = jnp.einsum("bhqk,bkhw->bqhw", attention, v).reshape(BATCH, LENGTH, DIMS)
        x = x + drop(context @ block["o"])
        h = rms_norm(x, block["ffn_norm"])
        x = x + drop((jax.nn.silu(h @ block["gate"]) * (h @ block["up"])) @ block["down"])
    hidden = rms_norm(x, weights["norm"]).reshape(-1, DIMS)
    targets = windows[:, 1:].reshape(-1)
    own = jnp.sum(hidden * weights["items"][targets], -1)
    if negatives is None:
        return jnp.mean(jax.nn.logsumexp(hidden @ weights["items"].T, -1) - own)
    others = hidden @ weights["items"][negatives].T
    others = jnp.where(targets[:, None] == negatives, -1e9, others)
    return jnp.mean(jax.nn.logsumexp(jnp.concatenate([own[:, None], others], 1), -1) - own)


@partial(jax.jit, donate_argnums=(0, 1, 2))
def step(weights, first, second, count, key, windows, negatives):
    value, gradient = jax.value_and_grad(loss)(weights, key, windows, negatives)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.98 * v + 0.02 * g * g, second, gradient)

    def update(w, m, v):
        m, v = m / (1 - 0.9**count), v / (1 - 0.98**count)
        return w - RATE * (m / (jnp.sqrt(v) + 1e-8) + DECAY * w)

    return jax.tree.map(update, weights, first, second), first, second, value


def jax_speed(sampled):
    """Median tokens a second, the first step (compilation) left out."""
    key = jax.random.key(1)
    weights = init(key)
    first = jax.tree.map(jnp.zeros_like, weights)
    second = jax.tree.map(jnp.zeros_like, weights)
    seconds = []
    for number in range(STEPS + 1):
        key, a, b, c = jax.random.split(key, 4)
        windows = jax.random.randint(a, (BATCH, LENGTH + 1), 0, ITEMS)
        negatives = jax.random.randint(b, (sampled,), 0, ITEMS) if sampled else None
        jax.block_until_ready(windows)
        began = time.perf_counter()
        weights, first, second, value = step(
            weights, first, second, number + 1.0, c, windows, negatives
        )
        value.block_until_ready()
        jax.block_until_ready(weights)
        seconds.append(time.perf_counter() - began)
    return BATCH * LENGTH / statistics.median(seconds[1:])


def burn_speed(program, sampled):
    arguments = [ITEMS, DIMS, BATCH, LENGTH, sampled, STEPS]
    done = subprocess.run(
        [program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | MEMORY,
    )
    return json.loads(done.stdout.splitlines()[-1])["tokens_per_second"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, sampled in [("full softmax", 0), ("256 sampled", 256)]:
        speeds = []
        for _ in range(ROUNDS):
            speeds.append((burn_speed(sys.argv[1], sampled), jax_speed(sampled)))
            print(f"{name}: Burn {speeds[-1][0]:.0f}, JAX {speeds[-1][1]:.0f} tokens/s", flush=True)
        burn, other = (statistics.median(column) for column in zip(*speeds))
        print(f"{name}: Burn at {burn / other:.2f} of JAX {jax.__version__}")


if __name__ == "__main__":
    main()
