"""Sections `compute.slurm` and `compute.ray` of the study file: what each run asks a cluster for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from imbalance_bench.config_section import Natural, Positive, Section

CLUSTER_KEYS = ("slurm", "ray")  # of `compute`: they tell of a cluster, and of no run

SbatchName = Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
OneLine = Annotated[str, Field(pattern=r"^[^\n\x00]*$")]


class SlurmSection(Section):
    """What each run asks Slurm for. Each run is one task of a job array, on one node."""

    partition: OneLine | None = None  # None: the cluster's default; so are account and qos
    account: OneLine | None = None
    qos: OneLine | None = None
    minutes: Positive = 240  # time limit; a run that needs longer is queued again and goes on from its checkpoint
    memory_gb: Annotated[float, Field(gt=0, le=2**20)] = 16.0
    gpus: Natural = 0
    cpus: Positive | None = None  # None: compute.threads
    warning_s: Positive = 120  # seconds before the time limit at which a run saves a checkpoint and is queued again
    requeues: Natural = 100  # how often a run may reach its time limit
    sbatch: dict[SbatchName, OneLine | int | bool] = Field(default_factory=dict)  # further options of sbatch, by name
    setup: tuple[OneLine, ...] = ()  # shell lines before each run, such as `module load cuda`


class RaySection(Section):
    """Which Ray cluster executes the runs, and what each run asks it for."""

    address: OneLine | None = None  # of a running cluster, or `auto`; None: one is started on this machine
    gpus: Annotated[float, Field(ge=0, le=1024)] = 0.0  # a fraction lets several runs share a device
    cpus: Annotated[float, Field(gt=0, le=4096)] | None = None  # None: compute.threads
