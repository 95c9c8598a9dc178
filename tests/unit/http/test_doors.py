"""Who has an allowance of his own at the front doors, and who shares his address's."""

from relay.http import doors
from relay.http.doors import Door, Proofs


def test_a_credential_that_proved_itself_does_not_share_its_addresss_allowance() -> None:
    proofs = Proofs()
    door = Door(1, 2, proofs)
    proofs.add("camera:ada", "token")
    assert [door.take("192.0.2.1", each, 0.0) == 0 for each in (None, "guess", None)] == [True, True, False]
    assert [door.take(source, "token", 0.0) == 0 for source in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [True, True, False]


def test_nobody_pushes_out_the_credentials_of_another() -> None:
    proofs = Proofs()
    proofs.add("camera:ada", "token")
    for number in range(2 * doors.PER_HOLDER):
        proofs.add("eve", str(number))
    assert proofs.find("token") is not None
    assert proofs.find("0") is None
    assert proofs.find(str(2 * doors.PER_HOLDER - 1)) is not None
    assert len(proofs) == 1 + doors.PER_HOLDER
    proofs.add("eve", "token")
    for number in range(doors.PER_HOLDER):
        proofs.add("eve", f"again {number}")
    assert proofs.find("token") is not None, "a stolen token is still its camera's"


def test_holders_are_bounded() -> None:
    proofs = Proofs()
    for number in range(doors.MAX_PROVED + 5):
        proofs.add(str(number), f"token {number}")
    assert len(proofs) == doors.MAX_PROVED
    assert proofs.find("token 0") is None
