"""Who acts is read from ARNs as STS and IAM write them."""

import pytest

from registry.identity import person, same_hands, session_name, without_arns

ANA = "arn:aws:sts::123456789012:assumed-role/publisher/ana"


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (ANA, "ana"),
        ("arn:aws:iam::123456789012:user/teams/qa/vera", "vera"),
        ("arn:aws:iam::123456789012:root", "root"),
        ("ana", "ana"),
    ],
)
def test_a_person_is_the_last_part_of_an_arn(arn: str, name: str):
    assert person(arn) == name


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (ANA, "ana"),
        ("arn:aws:iam::1:user/ana maria", "ana-maria"),
        ("arn:aws:iam::1:user/Ána", "-na"),
        ("arn:aws:iam::1:user/a+b=c,d.e@f-g_h", "a+b=c,d.e@f-g_h"),
        ("arn:aws:iam::1:user/" + "x" * 65, "x" * 64),
        ("arn:aws:iam::1:user/", "petpark"),
    ],
)
def test_a_sessions_name_has_the_characters_and_the_length_that_sts_takes(arn: str, name: str):
    assert session_name(arn) == name


def test_a_text_names_people_without_account_and_role():
    said = f"{ANA} is not allowed; ask (arn:aws:iam::123456789012:user/vera), or the role."
    assert without_arns(said) == "ana is not allowed; ask (vera), or the role."


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ANA, ANA, True),
        (ANA, "arn:aws:sts::123456789012:assumed-role/publisher/vera", True),
        (ANA, "arn:aws:iam::123456789012:user/ana", True),
        (ANA, "arn:aws:sts::123456789012:assumed-role/certifier/vera", False),
        (ANA, "arn:aws:sts::210987654321:assumed-role/publisher/vera", False),
        ("arn:aws:iam::1:user/qa/ana", "arn:aws:iam::1:user/qa/vera", False),
    ],
)
def test_two_sessions_of_a_role_are_the_same_hands_and_two_users_are_not(one: str, other: str, same: bool):
    assert same_hands(one, other) is same
    assert same_hands(other, one) is same
