"""What is issued: field by field, and by a verifier that is not ours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.issue import issue
from certs.validate import CertificateReason
from tests.unit.certs.cases import NOW, POLICY, reason_of

if TYPE_CHECKING:
    from certs.model import Generation


@pytest.fixture(name="generation", scope="module")
def _generation() -> Generation:
    return issue(POLICY, NOW + timedelta(microseconds=7))


@pytest.fixture(name="ca", scope="module")
def _ca(generation: Generation) -> x509.Certificate:
    return x509.load_pem_x509_certificate(generation.root.pem)


@pytest.fixture(name="leaf", scope="module")
def _leaf(generation: Generation) -> x509.Certificate:
    return x509.load_pem_x509_certificate(generation.leaf)


def test_the_ca_may_sign_certificates_and_nothing_below_it_may(
    ca: x509.Certificate,
) -> None:
    """Critical BasicConstraints and KeyUsage, path length 0."""
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)

    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)


def test_the_leaf_is_for_servers_of_exactly_these_names(leaf: x509.Certificate) -> None:
    """Its names are the policy's and no more."""
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)

    assert names.value.get_values_for_type(x509.DNSName) == list(POLICY.names)
    assert list(purposes.value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_leaf_names_the_key_that_signed_it(
    ca: x509.Certificate, leaf: x509.Certificate
) -> None:
    """Authority and subject key identifiers agree."""
    signer = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)

    assert authority.value.key_identifier == signer.value.digest


def test_the_leaf_never_outlives_the_ca(
    ca: x509.Certificate, leaf: x509.Certificate
) -> None:
    """Both begin an hour ago and end with the policy's life."""
    assert leaf.not_valid_before_utc == NOW - timedelta(hours=1)
    assert leaf.not_valid_after_utc == NOW + POLICY.life
    assert ca.not_valid_after_utc >= leaf.not_valid_after_utc


def test_serials_subjects_and_keys_are_never_used_twice() -> None:
    """Two generations of one bundle cannot be confused."""
    many = [issue(POLICY, NOW) for _ in range(50)]
    cas = [x509.load_pem_x509_certificate(one.root.pem) for one in many]
    leaves = [x509.load_pem_x509_certificate(one.leaf) for one in many]

    serials = {certificate.serial_number for certificate in cas + leaves}
    assert len(serials) == 100
    assert min(serials) > 0
    assert len({ca.subject for ca in cas}) == 50
    assert len({one.key for one in many}) == 50


def test_the_key_is_p256_and_is_the_leafs(
    generation: Generation, leaf: x509.Certificate
) -> None:
    """PKCS#8, without a passphrase."""
    key = load_pem_private_key(generation.key.reveal(), None)

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == leaf.public_key()


@pytest.mark.parametrize("served", [0, 1])
def test_an_independent_verifier_accepts_both_of_two_generations(served: int) -> None:
    """Either leaf verifies against a bundle that holds both roots."""
    generations = [issue(POLICY, NOW), issue(POLICY, NOW)]
    roots = [x509.load_pem_x509_certificate(one.root.pem) for one in generations]
    leaf = x509.load_pem_x509_certificate(generations[served].leaf)

    verifier = (
        PolicyBuilder()
        .store(Store(roots))
        .time(NOW)
        .build_server_verifier(x509.DNSName(POLICY.names[0]))
    )
    assert verifier.verify(leaf, [])[-1] == roots[served]


def test_the_independent_verifier_refuses_the_other_generations_root() -> None:
    """So its consent above means something."""
    one, other = issue(POLICY, NOW), issue(POLICY, NOW)
    store = Store([x509.load_pem_x509_certificate(other.root.pem)])
    verifier = (
        PolicyBuilder()
        .store(store)
        .time(NOW)
        .build_server_verifier(x509.DNSName(POLICY.names[0]))
    )

    with pytest.raises(VerificationError):
        verifier.verify(x509.load_pem_x509_certificate(one.leaf), [])


def test_what_is_issued_is_found_in_order(generation: Generation) -> None:
    """Issue and validate agree."""
    assert reason_of(generation.material) is CertificateReason.OK
