"""Reference embeddings of all-MiniLM-L6-v2, independent of llama.cpp and of the converter.

Needs `pip install numpy safetensors tokenizers`. Call it with the model's folder; it writes
`minilm.json` beside itself: for each text the first eight numbers of the normalised embedding.
"""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

TEXTS = [
    "Green tea",
    "Organic Argan Oil for hair, 4 oz (Beauty, Hair Care)",
    "Crème brûlée à la carte: naïve Ångström!",
    "The quick brown fox jumps over the lazy dog. " * 3,
    "日本茶 50%",
]


def erf(x):
    from math import erf as scalar

    return np.vectorize(scalar)(x)


def norm(x, weights, name):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def embed(ids, weights, layers, heads):
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, weights, "embeddings.LayerNorm")
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        q, k, v = (linear(x, weights, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        split = lambda t: t.reshape(len(ids), heads, -1).transpose(1, 0, 2)
        q, k, v = split(q), split(k), split(v)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        attended = (scores / scores.sum(-1, keepdims=True)) @ v
        attended = attended.transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + linear(attended, weights, f"{name}.attention.output.dense"), weights, f"{name}.attention.output.LayerNorm")
        inner = linear(x, weights, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = norm(x + linear(inner, weights, f"{name}.output.dense"), weights, f"{name}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def main():
    folder = pathlib.Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text())
    weights = {name: value.astype(np.float64) for name, value in load_file(folder / "model.safetensors").items() if value.dtype != np.int64}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = []
    for text in TEXTS:
        ids = np.array(tokenizer.encode(text).ids)
        vector = embed(ids, weights, config["num_hidden_layers"], config["num_attention_heads"])
        rows.append({"text": text, "first": [round(float(value), 6) for value in vector[:8]]})
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


main()
