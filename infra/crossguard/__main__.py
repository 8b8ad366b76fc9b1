"""Serves the policy pack to the engine that started it."""

from pathlib import Path

from pulumi_policy import PolicyPack

from infra.crossguard.policies import policies

PolicyPack("petpark", policies(Path(__file__).resolve().parents[2]))
