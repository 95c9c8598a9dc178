"""The findings and notes about keys, certificates and the dates of signed documents.

Owns: their axis, whether they speak against the recording, and their texts (French, English).
Must never know: how they are made.
"""

from relay.evidence.axis import Axis

NO_PUBLIC_KEY = (
    Axis.ORIGIN,
    True,
    "aucune clé publique de confiance n'a été donnée ; le signataire se dit certifié par la clé {key}",
    "no trusted public key was given; the signer claims to be certified by key {key}",
)
FOREIGN_KEY = (
    Axis.ORIGIN,
    True,
    "le signataire est certifié par la clé {key}, qui n'est pas la clé de confiance {wanted}",
    "the signer is certified by key {key}, which is not the trusted key {wanted}",
)
BAD_CERTIFICATE = (
    Axis.ORIGIN,
    True,
    "le certificat du signataire (inscription {record}) se réclame de la clé {key} mais n'est pas signé par elle",
    "the signer's certificate (record {record}) names key {key} but is not signed by it",
)
ROLLOVER_FORGED = (
    Axis.ORIGIN,
    True,
    "le changement de clé de l'inscription {record} n'est pas signé par la nouvelle clé",
    "the change of key at record {record} is not signed by the new key",
)
KEY_REVOKED = (
    Axis.ORIGIN,
    True,
    "la clé {key} est révoquée et rien n'atteste que la chaîne existait avant",
    "key {key} is revoked and nothing attests that the chain existed before",
)
KEY_EARLY = (
    Axis.ORIGIN,
    True,
    "la clé {key} n'était pas encore en fonction : elle l'est depuis le {since}, et a servi le {at}",
    "key {key} was not yet in office: it took office at {since} and was used at {at}",
)
KEY_RETIRED = (
    Axis.ORIGIN,
    True,
    "la clé {key} n'était plus en fonction : une autre lui a succédé le {since}, et elle a servi le {at}",
    "key {key} was no longer in office: another followed it at {since}, and it was used at {at}",
)
WEAK_KEY = (
    Axis.ORIGIN,
    True,
    "la clé de session de l'inscription {record} ne prouve rien : n'importe qui peut signer avec elle",
    "the session key of record {record} proves nothing: anybody can sign with it",
)
KEY_FROM_RECORDING = (
    Axis.ORIGIN,
    True,
    "LA CLÉ DE CONFIANCE A ÉTÉ PRISE DANS CE QU'ELLE DOIT VÉRIFIER : elle ne prouve rien ; demandez-la au service",
    "THE TRUSTED KEY WAS TAKEN FROM WHAT IT HAS TO VERIFY: it proves nothing; ask the service for it",
)
CERTIFICATE_ROLE = (
    Axis.ORIGIN,
    True,
    "le certificat de l'inscription {record} est celui d'un rôle « {role} », qui ne scelle pas d'enregistrement",
    'the certificate of record {record} is for the role "{role}", which seals no recording',
)
CERTIFICATE_LONG = (
    Axis.ORIGIN,
    True,
    "le certificat de session de l'inscription {record} vaut {days} jours ; dans ce format il en vaut {most} au plus",
    "the session certificate of record {record} is valid for {days} days; in this format it is for {most} at most",
)
REVOCATIONS_EARLY = (
    Axis.ORIGIN,
    True,
    "la liste de clés révoquées se date du {at}, avant l'enregistrement dont elle parle ({until}) : elle n'est pas retenue",
    "the list of revoked keys says {at}, before the recording that it is about ({until}): it is not used",
)
REVOCATIONS_NEWER = (
    Axis.ORIGIN,
    True,
    "la liste de clés révoquées est d'un format plus récent : prenez un vérificateur plus récent",
    "the list of revoked keys is of a newer format: use a newer verifier",
)
REVOCATIONS_FOREIGN = (
    Axis.ORIGIN,
    True,
    "la liste de clés révoquées n'est pas de celles que la clé de confiance signe pour cette chaîne",
    "the list of revoked keys is not one that the trusted key signed for this chain",
)
CERTIFICATE_LIFE = (
    Axis.TIME,
    True,
    "l'inscription {record} se date du {at}, hors de la vie du certificat de son signataire",
    "record {record} says {at}, outside the life of its signer's certificate",
)
SUCCESSION = (
    Axis.ORIGIN,
    False,
    "la clé {key} est attestée par celle qui lui succède, {by}",
    "key {key} is attested by the key that follows it, {by}",
)
CERTIFICATE_LASTING = (
    Axis.ORIGIN,
    False,
    "format de version 1 : le certificat de session vaut {days} jours ; qui en tenait la clé pouvait sceller tout ce temps",
    "format version 1: the session certificate is valid for {days} days; who held its key could seal during all of them",
)
KEY_BESIDE = (
    Axis.ORIGIN,
    False,
    "LA CLÉ DE CONFIANCE SE TROUVE AUSSI DANS {file} : assurez-vous que la vôtre vient du service, non de cette copie",
    "THE TRUSTED KEY ALSO STANDS IN {file}: make sure that yours came from the service, not from this copy",
)
NEWER_FORMAT = (
    Axis.ORIGIN,
    False,
    "le fichier {file} est d'un format plus récent : il n'a pas été lu ; prenez un vérificateur plus récent",
    "file {file} is of a newer format: it was not read; use a newer verifier",
)
REVOCATION_CHECKED = (
    Axis.ORIGIN,
    False,
    "clés révoquées contrôlées d'après la liste signée par le relais le {at} (clés : {count})",
    "revoked keys checked against the list that the relay signed at {at} (keys: {count})",
)
REVOCATION_UNCHECKED = (
    Axis.ORIGIN,
    False,
    "révocation non contrôlée, faute de liste signée : demandez au service celle du jour pour la chaîne {head}",
    "revocation was not checked, for want of a signed list: ask the service for today's about chain {head}",
)
DOCUMENT_EARLY = (
    Axis.TIME,
    True,
    "le document {file} se date du {at}, avant l'enregistrement dont il parle ({until})",
    "the document {file} says {at}, before the recording that it is about ({until})",
)
STATEMENT_FOREIGN = (
    Axis.ORIGIN,
    True,
    "l'attestation d'intervalle n'est pas signée par la clé de confiance",
    "the statement of the interval is not signed by the trusted key",
)
