"""The stack that only refers to the platform, where its owner is not deployed."""

import dataclasses

import pulumi
import pytest

from tests.infra.conftest import deploy


def test_prod_before_test_ends_with_one_sentence_that_says_what_to_do_first(checkout, deployments):
    destroyed = dataclasses.replace(deployments["test"], outputs={})
    with pytest.raises(pulumi.RunError, match=r"deploy it first, `pulumi up --stack test`"):
        deploy("prod", checkout, {"test": destroyed})


def test_a_platform_that_is_older_than_the_stack_says_which_output_it_lacks(checkout, deployments):
    outputs = {key: value for key, value in deployments["test"].outputs.items() if key != "gates"}
    with pytest.raises(pulumi.RunError, match="has no output 'gates'"):
        deploy("prod", checkout, {"test": dataclasses.replace(deployments["test"], outputs=outputs)})
