"""One title from llama-cpp-python under a grammar of all titles, beside lists of `cloud-server`.

    python3 -m venv venv && venv/bin/pip install llama-cpp-python    # builds llama.cpp
    venv/bin/python crates/generator/bench/llama_cpp_python.py MODEL.gguf ml-100k.item ml-100k.inter

The usual way to make a language model name items of a catalogue: a GBNF grammar with every title
as an alternative, one completion for each recommendation. Prompts are those of the titles engine
(the 50 newest items of a user). Prints the time of the first title of a prompt, of each further
one (the prompt is cached), and how many of 20 sampled titles are distinct.
"""

import json
import statistics
import sys
import time
from collections import defaultdict

from llama_cpp import Llama, LlamaGrammar

HISTORY, USERS, SAMPLES, THREADS = 50, 5, 20, 2


def rows(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        next(file)
        for line in file:
            yield line.rstrip("\n").split("\t")


def main():
    gguf, items, interactions = sys.argv[1:4]
    titles = {row[0]: " ".join(row[1].split()) for row in rows(items)}
    clicks = defaultdict(list)
    for row in rows(interactions):
        clicks[row[0]].append((float(row[3]), row[1]))
    alternatives = " | ".join(json.dumps(title) for title in sorted(set(titles.values())))
    grammar = LlamaGrammar.from_string(f'root ::= " " title "\\n"\ntitle ::= {alternatives}')
    model = Llama(gguf, n_ctx=2048, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)

    def complete(prompt, temperature):
        start = time.perf_counter()
        answer = model.create_completion(
            prompt, grammar=grammar, max_tokens=64, temperature=temperature, stop=["\n"]
        )
        return time.perf_counter() - start, answer["choices"][0]["text"].strip()

    first, further, distinct, lengths = [], [], [], []
    for user in sorted(clicks)[:USERS]:
        newest = [item for _, item in sorted(clicks[user])][-HISTORY:]
        prompt = "Titles similar in taste:\n" + "".join(f"- {titles[item]}\n" for item in newest) + "-"
        lengths.append(len(model.tokenize(prompt.encode())))
        first.append(complete(prompt, 0.0)[0])
        sampled = [complete(prompt, 1.0) for _ in range(SAMPLES)]
        further += [seconds for seconds, _ in sampled]
        distinct.append(len({title for _, title in sampled}))
    print(json.dumps({
        "titles": len(set(titles.values())),
        "prompt_tokens_median": statistics.median(lengths),
        "first_title_ms": round(statistics.median(first) * 1e3, 1),
        "further_title_ms": round(statistics.median(further) * 1e3, 1),
        "distinct_of_20": statistics.median(distinct),
    }))


main()
