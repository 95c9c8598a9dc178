"""The text in every extraction, for the person who opens it: what the files are, and the one command that checks them.

Owns: its words, in French and English.  Must never know: how anything is checked, people.

It repeats nothing that a person wrote: whoever reads it must not be told anything by the bearer of a camera or an operator.
"""

NAME = "LISEZMOI.txt"

_TEXT = """\
ENREGISTREMENT {recording}
==========================================================

CONTRÔLER / CHECK -- une seule commande, dans ce dossier / one command, in this folder:

    python3 verify.py . --key CLÉ          (Windows : py verify.py . --key CLÉ)

FRANÇAIS

CLÉ est la clé publique du service qui a enregistré : 64 chiffres hexadécimaux, ou le nom d'un fichier. Demandez-la
à ce service par une autre voie que cette archive (courrier, téléphone). La clé jointe (public_key.hex) et le
vérificateur joint (verify.py) sont là par commodité : un faussaire aurait joint les siens. Le service remet aussi
le vérificateur seul ; il faut Python 3.11 ou plus récent et le paquet « cryptography ».

Toute ligne du rapport qui commence par « ! » parle contre l'enregistrement. Sans une telle ligne (code de sortie 0),
ce que le rapport nomme a été contrôlé, et cela seulement.

    00000.mp4, 00001.mp4 ...   l'original en clair, scellé : chaque fichier se lit seul
    chain                      la chaîne de scellés : qui a porté la caméra, quand, chaque fragment
    statement                  l'intervalle extrait, signé
    derived/playable.mp4       copie pour la lecture, faite à partir de l'original ; elle n'est pas scellée
    manifest.json              qui a demandé l'extraction, sur quel fondement, pour quelle procédure
    extraction                 la liste signée des fichiers que la chaîne ne couvre pas, avec leur empreinte
    journal                    ce que le journal du service sait de cet enregistrement, avec des preuves
    revocations, succession-*  l'état des clés du service au jour de l'extraction

Ajouter un fichier à ce dossier ne change pas le résultat ; le rapport le nomme. Ne modifiez et ne renommez rien.

ENGLISH

CLÉ is the public key of the service that recorded: 64 hex digits, or the name of a file. Ask that service for it by
another way than this archive (letter, telephone). The key in this folder (public_key.hex) and the verifier in it
(verify.py) are here for convenience: a forger would have put in his own. The service also hands out the verifier by
itself; it needs Python 3.11 or later and the package "cryptography".

Every line of the report that begins with "!" speaks against the recording. Without such a line (exit code 0), what
the report names was checked, and only that.

    00000.mp4, 00001.mp4 ...   the plain original, sealed: each file plays by itself
    chain                      the chain of seals: who carried the camera, when, every fragment
    statement                  the interval that was extracted, signed
    derived/playable.mp4       a copy for playing, made from the original; it is not sealed
    manifest.json              who asked for the extraction, on what basis, for which procedure
    extraction                 the signed list of the files that the chain does not cover, with their digests
    journal                    what the service's journal knows of this recording, with proofs
    revocations, succession-*  the state of the service's keys on the day of the extraction

A file that is added to this folder does not change the result; the report names it. Change and rename nothing.
"""


def notice(recording: str) -> bytes:
    """Return the text (UTF-8, lines ended as Windows wants them, which every system reads)."""
    return _TEXT.format(recording=recording).replace("\n", "\r\n").encode()
