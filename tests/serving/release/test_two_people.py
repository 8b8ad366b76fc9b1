"""Channels that want two people: whose certificates and moves an endpoint follows."""

from dataclasses import replace

import pytest

from registry.channels.channel import Channel
from registry.errors import HistoryBroken
from registry.layout.model_store import channel_entry_key

# --- one person ----------------------------------------------------------------------------------------------------


def test_a_certificate_by_who_trained_the_version_is_worth_nothing_here(endpoint, park, second):
    """Signed around `petpark certify`, by kms:Sign and PutObject."""
    own = park.publish(sharpness=3.0, lineage={"requested_by": "arn:aws:sts::1:assumed-role/publisher/quinn"})
    park.certify(own)
    park.release(own)
    endpoint.follow()
    assert endpoint.answers == 2
    assert endpoint.refusal == (3, "SelfCertified")
    assert "arn:aws" not in endpoint.http.get("/v1/model").text
    park.certify(own, by="vera")
    endpoint.follow()
    assert endpoint.answers == 3


@pytest.mark.parametrize("mover", ["quinn", "arn:aws:sts::1:assumed-role/promoter/quinn"])
def test_a_move_by_who_certified_the_version_is_not_followed(endpoint, park, second, mover):
    """Written around `petpark promote`, by PutObject; who certifies and who promotes are two people here."""
    own = park.certified(sharpness=3.0)
    park.release(own, by=mover)
    endpoint.follow()
    assert endpoint.answers == 2
    assert endpoint.refusal == (3, "SamePerson")
    assert "arn:aws" not in endpoint.http.get("/v1/model").text
    park.certify(own, by="vera")
    endpoint.follow()
    assert endpoint.answers == 3


def test_a_channel_that_wants_no_two_people_is_followed_whoever_moved_it(park, open_endpoint):
    park.release(park.certified(), by="quinn")
    endpoint = open_endpoint(two_people=False)
    endpoint.follow()
    assert endpoint.answers == 1


def test_a_mover_who_renews_the_certificate_of_another_takes_nothing_out_of_force(endpoint, park, open_endpoint):
    park.certify(park.catalog.version(1), by="otto")  # who moved the channel, after quinn had certified
    endpoint.follow()
    newcomer = open_endpoint()
    newcomer.follow()
    assert (endpoint.answers, newcomer.answers) == (1, 1)


def test_what_was_approved_before_a_refusal_does_not_count_for_who_approves_it_again(endpoint, park, second):
    park.certify(second, decision="revoked", by="quinn")
    park.certify(second, by="otto")
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.refusal == (2, "SamePerson")


def test_a_certifier_may_roll_back_to_what_another_promoted(endpoint, park, second):
    park.roll_back(by="quinn")
    endpoint.follow()
    assert endpoint.answers == 1


def test_a_roll_back_to_what_nobody_promoted_is_followed_by_nobody(endpoint, park, second, open_endpoint):
    own = park.certified(sharpness=3.0)
    head = park.channel.head()
    forged = replace(
        head, number=3, version=own.number, digest=own.digest, previous=2, restores=1, previous_sha256=head.sha256
    )
    park.store.create(channel_entry_key("pets", "prod", 3), forged.to_bytes())
    newcomer = open_endpoint()
    assert (endpoint.follow(), newcomer.follow()) == (False, False)
    assert (endpoint.answers, newcomer.answers) == (2, 2)
    with pytest.raises(HistoryBroken, match="to restore what entry 1 put into force"):
        Channel(park.store, "pets", "prod").head()
