"""The causal bench: what do learned biases follow, when frequency and difficulty are planted independently?

`design` says what is trained, `running` trains and analyses it in parts, `evidence` gathers it over data sets,
`answers` holds the tables and `figures` draws them. `python -m benchmarks.causal_bench --help` has the commands.
"""
