"""The account of whoever says nothing else."""

from __future__ import annotations

ACCOUNT = "123456789012"  # moto's own default account
