"""Every finding and note of a verdict: its question, whether it speaks against the recording, and its text.

Owns: findings and notes of FORMAT.md §7, in French and English.  Must never know: how they are made.
"""

from enum import Enum

from relay.evidence import codes_of_keys as keys
from relay.evidence.axis import Axis

__all__ = ["Axis", "Code"]


class Code(Enum):
    """A kind of finding or note: its axis, whether it speaks against the recording, and its text (French, English)."""

    RECORD_ALTERED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} de la chaîne a été altérée",
        "record {record} of the chain was altered",
    )
    RECORD_MISPLACED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} de la chaîne est répétée ou déplacée",
        "record {record} of the chain is repeated or out of place",
    )
    RECORDS_MISSING = (
        Axis.COMPLETENESS,
        True,
        "{count} inscription(s) manquent dans la chaîne avant l'inscription {record}",
        "{count} record(s) are missing from the chain before record {record}",
    )
    CHAIN_BROKEN = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} ne suit pas celle qui la précède",
        "record {record} does not follow the one before it",
    )
    CHAIN_UNREADABLE = (
        Axis.INTEGRITY,
        True,
        "la chaîne est illisible à partir de là : {why}",
        "the chain cannot be read from there on: {why}",
    )
    CHAIN_RULE = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} enfreint une règle du format : {why}",
        "record {record} breaks a rule of the format: {why}",
    )
    NO_START = (Axis.COMPLETENESS, True, "le début signé manque", "the signed start is missing")
    AFTER_END = (Axis.INTEGRITY, True, "quelque chose suit la fin signée", "something follows the signed end")
    COUNTS_DIFFER = (
        Axis.COMPLETENESS,
        True,
        "la fin signée annonce {said} fragments et {gaps_said} lacunes ; la chaîne en porte {found} et {gaps_found}",
        "the signed end counts {said} fragments and {gaps_said} gaps; the chain holds {found} and {gaps_found}",
    )
    INTERRUPTED = (
        Axis.COMPLETENESS,
        True,
        "sans fin signée : encore en cours d'enregistrement, interrompu ou coupé ; il est couvert jusqu'au {until}",
        "without a signed end: still being recorded, interrupted or cut off; it is covered until {until}",
    )
    TAIL_NOT_COPIED = (
        Axis.COMPLETENESS,
        True,
        "les {count} derniers fragments scellés, à partir du {fragment}, ne sont pas dans cette copie",
        "the last {count} sealed fragments, from {fragment} on, are not in this copy",
    )
    OTHER_RECORDING = (
        Axis.ORIGIN,
        True,
        "ce n'est pas l'enregistrement {wanted}, dont il porte le nom ou qui était attendu",
        "this is not recording {wanted}, whose name it bears or which was expected",
    )
    RECOVERED = (
        Axis.COMPLETENESS,
        True,
        "enregistrement interrompu ({cause}), clos par une reprise signée : il est couvert jusqu'au {until}",
        "recording interrupted ({cause}), closed by a signed recovery: it is covered until {until}",
    )
    TAIL_MISSING = (
        Axis.COMPLETENESS,
        True,
        "la fin de l'enregistrement manque : {fragments} fragments, {seconds} s, que le relais avait scellés et que la reprise"
        " n'a plus trouvés",
        "the end of the recording is missing: {fragments} fragments, {seconds} s, which the relay had sealed and the recovery"
        " did not find any more",
    )
    FRAGMENT_ALTERED = (
        Axis.INTEGRITY,
        True,
        "fragment {fragment} altéré ou remplacé",
        "fragment {fragment} was altered or replaced",
    )
    FRAGMENT_MISSING = (Axis.COMPLETENESS, True, "fragment {fragment} manquant", "fragment {fragment} is missing")
    FRAGMENTS_MISSING = (
        Axis.COMPLETENESS,
        True,
        "{count} fragments manquants, du {fragment} au {last}",
        "{count} fragments are missing, from {fragment} to {last}",
    )
    FRAGMENT_NOT_SEALED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} du fragment {fragment} a été altérée : le fragment ne peut être jugé",
        "record {record} of fragment {fragment} was altered: the fragment cannot be judged",
    )
    FRAGMENT_MISPLACED = (
        Axis.INTEGRITY,
        True,
        "le fragment {other} se trouve à la place du fragment {fragment}",
        "fragment {other} stands in the place of fragment {fragment}",
    )
    FRAGMENT_TWICE = (
        Axis.INTEGRITY,
        True,
        "le fragment {fragment} figure plusieurs fois",
        "fragment {fragment} stands there more than once",
    )
    PLAIN_DIFFERS = (
        Axis.INTEGRITY,
        True,
        "le fragment {fragment}, déchiffré, n'est pas celui qui a été scellé",
        "fragment {fragment}, once decrypted, is not what was sealed",
    )
    WRONG_RECORDING_KEY = (
        Axis.INTEGRITY,
        True,
        "la clé de déchiffrement donnée n'est pas celle de cet enregistrement",
        "the decryption key given is not this recording's",
    )
    EXTRA_BYTES = (
        Axis.INTEGRITY,
        True,
        "le fichier {file} porte {count} octets qu'aucun maillon ne couvre",
        "file {file} holds {count} bytes that no link covers",
    )
    FOREIGN_FILE = (
        Axis.INTEGRITY,
        True,
        "le fichier {file} porte des images que la chaîne ne connaît pas",
        "file {file} holds media that the chain does not know",
    )
    ARCHIVE_BYTES = (
        Axis.INTEGRITY,
        True,
        "l'archive {file} porte {detail} octets hors de ses fichiers : un autre programme peut y montrer autre chose",
        "archive {file} holds {detail} bytes outside its files: another program may show something else of it",
    )
    ARCHIVE_HIDES = (
        Axis.INTEGRITY,
        True,
        "{file} : l'archive montre autre chose à d'autres programmes ({detail})",
        "{file}: the archive shows something else to other programs ({detail})",
    )
    NAME_TWICE = (
        Axis.INTEGRITY,
        True,
        "{file} et {detail} sont deux fichiers sous un même nom : l'un peut recouvrir l'autre",
        "{file} and {detail} are two files under one name: one may cover the other",
    )
    NAME_ASTRAY = (
        Axis.INTEGRITY,
        True,
        "le nom {file} mène hors du dossier, ou ailleurs selon le programme",
        "the name {file} leads out of the folder, or elsewhere in another program",
    )
    GAP_UNEXPLAINED = (
        Axis.COMPLETENESS,
        True,
        "lacune inexpliquée de {seconds} s le {at}",
        "unexplained gap of {seconds} s at {at}",
    )
    NO_PUBLIC_KEY = keys.NO_PUBLIC_KEY
    FOREIGN_KEY = keys.FOREIGN_KEY
    BAD_CERTIFICATE = keys.BAD_CERTIFICATE
    ROLLOVER_FORGED = keys.ROLLOVER_FORGED
    KEY_REVOKED = keys.KEY_REVOKED
    KEY_EARLY = keys.KEY_EARLY
    KEY_RETIRED = keys.KEY_RETIRED
    WEAK_KEY = keys.WEAK_KEY
    KEY_FROM_RECORDING = keys.KEY_FROM_RECORDING
    CERTIFICATE_ROLE = keys.CERTIFICATE_ROLE
    CERTIFICATE_LONG = keys.CERTIFICATE_LONG
    REVOCATIONS_EARLY = keys.REVOCATIONS_EARLY
    REVOCATIONS_NEWER = keys.REVOCATIONS_NEWER
    REVOCATIONS_FOREIGN = keys.REVOCATIONS_FOREIGN
    CERTIFICATE_LIFE = keys.CERTIFICATE_LIFE
    CLOCK_BACK = (
        Axis.TIME,
        True,
        "l'horloge recule de {seconds} s au fragment {fragment} sans être déclarée suspecte",
        "the clock goes back by {seconds} s at fragment {fragment} without being declared suspect",
    )
    RETIMED = (
        Axis.TIME,
        True,
        "au fragment {fragment}, la durée des images et l'heure d'arrivée divergent de {seconds} s",
        "at fragment {fragment} the media's own time and its arrival differ by {seconds} s",
    )
    STATEMENT_FOREIGN = keys.STATEMENT_FOREIGN
    DOCUMENT_EARLY = keys.DOCUMENT_EARLY
    STATEMENT_MISMATCH = (
        Axis.COMPLETENESS,
        True,
        "l'attestation d'intervalle ne correspond pas à cette chaîne : {why}",
        "the statement of the interval does not fit this chain: {why}",
    )
    STATEMENT_UNLISTED = (
        Axis.COMPLETENESS,
        True,
        "l'attestation d'intervalle ne figure pas dans la liste signée des fichiers remis : elle vient d'une autre remise",
        "the statement of the interval is not in the signed list of the files handed over: it is of another delivery",
    )
    EXTRACTION_FOREIGN = (
        Axis.ORIGIN,
        True,
        "la liste signée des fichiers remis (extraction) n'est pas signée par la clé de confiance : rien de ce qu'elle dit "
        "n'est prouvé, ni manifest.json",
        "the signed list of the files handed over (extraction) is not signed by the trusted key: neither what it says nor "
        "manifest.json is proved",
    )
    EXTRACTION_MISSING = (
        Axis.COMPLETENESS,
        True,
        "la liste signée des fichiers remis (extraction) manque : manifest.json (requérant, fondement, procédure) n'est pas "
        "prouvé, ni la copie de lecture",
        "the signed list of the files handed over (extraction) is missing: neither manifest.json (requester, basis, "
        "procedure) nor the playable copy is proved by it",
    )
    EXTRACTION_NEWER = (
        Axis.ORIGIN,
        True,
        "la liste signée des fichiers remis (extraction) est d'un format plus récent que ce vérificateur : demandez le "
        "vérificateur du service",
        "the signed list of the files handed over (extraction) is of a newer format than this verifier: ask the service for "
        "its verifier",
    )
    EXTRACTION_MISMATCH = (
        Axis.INTEGRITY,
        True,
        "la liste signée des fichiers remis (extraction) est celle d'un autre enregistrement ou d'une autre chaîne",
        "the signed list of the files handed over (extraction) is about another recording or another chain",
    )
    EXTRACTION_REVOKED = (
        Axis.ORIGIN,
        True,
        "la liste signée des fichiers remis (extraction) l'est par une clé révoquée : rien n'atteste qu'elle existait avant",
        "the signed list of the files handed over (extraction) is signed by a revoked key: nothing attests that it existed "
        "before",
    )
    LISTED_ALTERED = (
        Axis.INTEGRITY,
        True,
        "le fichier {file} n'est plus celui qui a été remis avec cet enregistrement",
        "file {file} is no longer the one that was handed over with this recording",
    )
    LISTED_MISSING = (
        Axis.COMPLETENESS,
        True,
        "le fichier {file}, remis avec cet enregistrement, manque",
        "file {file}, which was handed over with this recording, is missing",
    )
    JOURNAL_PROOF_FALSE = (
        Axis.ORIGIN,
        True,
        "les preuves du journal du service ne tiennent pas : {why}",
        "the proofs of the service's journal do not hold: {why}",
    )
    JOURNAL_FOREIGN = (
        Axis.ORIGIN,
        True,
        "le point de contrôle du journal qui prouve l'inscription {leaf} n'est pas signé par la clé de confiance",
        "the journal checkpoint that proves entry {leaf} is not signed by the trusted key",
    )
    JOURNAL_REVOKED = (
        Axis.ORIGIN,
        True,
        "le point de contrôle du journal est signé par une clé révoquée : rien n'atteste qu'il existait avant",
        "the journal checkpoint is signed by a revoked key: nothing attests that it existed before",
    )
    JOURNAL_FORKED = (
        Axis.ORIGIN,
        True,
        "deux points de contrôle du journal, signés pour {size} inscriptions, se contredisent : il existe deux journaux",
        "two journal checkpoints, signed for {size} entries, contradict each other: there are two journals",
    )
    JOURNAL_ENTRY_FOREIGN = (
        Axis.COMPLETENESS,
        True,
        "l'inscription {leaf} du journal du service ne convient pas à cet enregistrement : {why}",
        "entry {leaf} of the service's journal does not fit this recording: {why}",
    )
    JOURNAL_HEAD_DIFFERS = (
        Axis.COMPLETENESS,
        True,
        "le journal du service connaît une autre fin de cet enregistrement (inscription {leaf}, empreinte {head})",
        "the service's journal knows another end of this recording (entry {leaf}, head {head})",
    )
    DERIVED_ONLY = (
        Axis.INTEGRITY,
        True,
        "copie dérivée : seules les empreintes des pistes ont été comparées, l'original n'est pas là",
        "derived copy: only the tracks' digests were compared, the original is not here",
    )
    DERIVED_DIFFERS = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} diffère de l'original ({track}) au fragment {fragment}",
        "the derived copy {file} differs from the original ({track}) at fragment {fragment}",
    )
    DERIVED_UNREADABLE = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} est illisible : {why}",
        "the derived copy {file} cannot be read: {why}",
    )
    DERIVED_SHOWN = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} ne se présente pas comme l'original : {what}",
        "the derived copy {file} is not shown as the original: {what}",
    )
    DERIVED_UNJUDGED = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} n'a pu être jugée en entier : {what}",
        "the derived copy {file} could not be judged in full: {what}",
    )
    DERIVED_TIME = (
        Axis.TIME,
        True,
        "la copie dérivée {file} n'a pas la cadence de l'original ({track}) au fragment {fragment}",
        "the derived copy {file} does not keep the original's pace ({track}) at fragment {fragment}",
    )
    UNSIGNED = (
        Axis.ORIGIN,
        True,
        "aucune chaîne n'accompagne ces images : rien ne peut en être prouvé",
        "no chain comes with this media: nothing about it can be proved",
    )
    # --- notes
    GAP = (
        Axis.COMPLETENESS,
        False,
        "lacune de {seconds} s le {at} ({cause} ; {track})",
        "gap of {seconds} s at {at} ({cause}; {track})",
    )
    CLOCK_SUSPECT = (
        Axis.TIME,
        False,
        "l'horloge est déclarée suspecte au fragment {fragment}",
        "the clock is declared suspect at fragment {fragment}",
    )
    SYNC_BY_ARRIVAL = (
        Axis.TIME,
        False,
        "synchronisation par l'heure d'arrivée ({track}) à partir du fragment {fragment}, faute de rapport de la caméra",
        "synchronised by arrival ({track}) from fragment {fragment} on, for want of a report from the camera",
    )
    NOT_RECORDED = (
        Axis.COMPLETENESS,
        True,
        "reçu, mais non enregistré : {seconds} s à partir du {at} ({track})",
        "received, not recorded: {seconds} s from {at} on ({track})",
    )
    CLOCK_CORRECTED = (
        Axis.TIME,
        False,
        "à la lecture, la piste {track} est décalée d'au plus {seconds} s : son horloge a été comparée à {source}",
        "where it is played, the track {track} is moved by at most {seconds} s: its clock was compared with {source}",
    )
    RECOVERY_POINT = (
        Axis.COMPLETENESS,
        False,
        "images reprises en cours de route le {at} : pendant {seconds} s elles peuvent être incomplètes",
        "pictures joined at a recovery point at {at}: for {seconds} s they may be incomplete",
    )
    SILENCE = (
        Axis.COMPLETENESS,
        False,
        "silence déclaré par la caméra à partir du {at} ({track})",
        "silence declared by the camera from {at} on ({track})",
    )
    NOT_COVERED = (
        Axis.INTEGRITY,
        False,
        "le fichier {file} n'est pas couvert par le sceau",
        "file {file} is not covered by the seal",
    )
    NOT_LISTED = (
        Axis.INTEGRITY,
        False,
        "le fichier {file} n'a pas été remis avec cet enregistrement : ni le sceau ni la liste signée ne le couvrent",
        "file {file} was not handed over with this recording: neither the seal nor the signed list covers it",
    )
    EXTRACTION_CHECKED = (
        Axis.INTEGRITY,
        False,
        "les {count} autres fichiers de l'export sont ceux que le relais a remis et signés le {at}",
        "the {count} other files of the export are those that the relay handed over and signed at {at}",
    )
    MANIFEST_UNSIGNED = (
        Axis.ORIGIN,
        False,
        "manifest.json (requérant, fondement, procédure) n'est pas signé : rien ne prouve ce qu'il dit",
        "manifest.json (requester, basis, procedure) is not signed: nothing proves what it says",
    )
    ARCHIVE_COMMENT = (
        Axis.INTEGRITY,
        False,
        "{file} porte un commentaire, que le sceau ne couvre pas : {detail}",
        "{file} has a comment, which the seal does not cover: {detail}",
    )
    LINK_NOT_FOLLOWED = (
        Axis.INTEGRITY,
        False,
        "{file} est un lien ou un fichier spécial : il n'a pas été suivi",
        "{file} is a link or a special file: it was not followed",
    )
    LEFT_BY_SYSTEM = (
        Axis.INTEGRITY,
        False,
        "le fichier {file} a été laissé là par un système (macOS, Windows) : il n'est pas de l'enregistrement",
        "file {file} was left there by a system (macOS, Windows): it is not part of the recording",
    )
    TAIL_UNFINISHED = (
        Axis.COMPLETENESS,
        False,
        "{file} porte à sa fin {count} octets qui ne sont pas encore scellés",
        "{file} has {count} bytes at its end that are not sealed yet",
    )
    STILL_OPEN = (
        Axis.COMPLETENESS,
        False,
        "encore en cours d'enregistrement, selon le relais : il est couvert jusqu'au {until}",
        "still being recorded, says the relay: it is covered until {until}",
    )
    NOT_EXPORTED = (
        Axis.COMPLETENESS,
        False,
        "non exporté : tout ce qui est hors de l'intervalle du {at} au {until}",
        "not exported: everything outside the interval from {at} to {until}",
    )
    DERIVED_SAME = (
        Axis.INTEGRITY,
        False,
        "la copie dérivée {file} présente les images et sons de l'original : mêmes échantillons, même réglage des décodeurs,"
        " mêmes temps à 50 ms près",
        "the derived copy {file} shows the original's pictures and sound: same samples, same decoder configuration,"
        " same times within 50 ms",
    )
    SUCCESSION = keys.SUCCESSION
    CERTIFICATE_LASTING = keys.CERTIFICATE_LASTING
    KEY_BESIDE = keys.KEY_BESIDE
    NEWER_FORMAT = keys.NEWER_FORMAT
    REVOCATION_CHECKED = keys.REVOCATION_CHECKED
    REVOCATION_UNCHECKED = keys.REVOCATION_UNCHECKED
    JOURNAL_ENTRY = (
        Axis.ORIGIN,
        False,
        "le journal du service porte, à l'inscription {leaf} du {at} : {event}",
        "the service's journal says, in entry {leaf} of {at}: {event}",
    )
    JOURNAL_PURGED = (
        Axis.ORIGIN,
        False,
        "l'inscription {leaf} est au journal du service ; ses mots ont été effacés après trois ans, rien n'en est prouvé",
        "entry {leaf} is in the service's journal; its words were deleted after three years, nothing of them is proved",
    )
    JOURNAL_CHECKPOINT = (
        Axis.ORIGIN,
        False,
        "ces inscriptions sont prouvées par le point de contrôle du journal du {at} ({size} inscriptions ; "
        "signatures de tiers non contrôlées : {ignored})",
        "these entries are proved by the journal checkpoint of {at} ({size} entries; "
        "signatures of others, not checked: {ignored})",
    )
    FOLLOWS = (
        Axis.COMPLETENESS,
        False,
        "cet enregistrement fait suite à {recording}, interrompu",
        "this recording follows {recording}, which was interrupted",
    )

    def __init__(self, axis: Axis, against: bool, french: str, english: str) -> None:
        self.axis = axis
        self.against = against
        self.french = french
        self.english = english
