/**
 * What the relay says when it refuses, in French.  The relay speaks English; a sentence that is not here is shown as it came.
 *
 * Owns: the translations.  Must never know: who was refused.
 */

const FRENCH: readonly (readonly [english: string, french: string])[] = [
  ["its intervention is still open", "son intervention est encore ouverte : il faut d'abord la clore"],
  ["this recording is still open", "cet enregistrement est encore en cours"],
  ["this recording was erased at its term", "cet enregistrement a été effacé à son terme"],
  ["the key of this recording is destroyed", "la clé de cet enregistrement est détruite"],
  [
    "the original is the camera's; only its chain is kept here",
    "l'original est sur la caméra ; seule sa chaîne de scellement est conservée ici",
  ],
  ["open or join an intervention with a motive first", "il faut d'abord ouvrir ou rejoindre une intervention, avec un motif"],
  ["the intervention is not open or not joined", "l'intervention n'est pas ouverte, ou pas rejointe"],
  ["this intervention is closed", "cette intervention est close"],
  ["the motive must say why", "le motif doit dire pourquoi"],
  ["a motive is required", "un motif est nécessaire"],
  ["this camera is not connected", "cette caméra n'est pas connectée"],
  ["this camera is not live", "cette caméra ne transmet pas"],
  ["this camera is live", "cette caméra transmet déjà"],
  ["no threat was declared for this transmission", "aucune menace n'a été déclarée pour cette transmission"],
  ["this designation is not valid now", "cette désignation n'est pas valable maintenant"],
  ["this belongs to another service", "cela relève d'un autre service"],
  ["this commune is outside the person's competence", "cette commune ne relève pas de votre compétence"],
  ["change the one-time password first", "il faut d'abord changer le mot de passe provisoire"],
  ["the old password is wrong", "l'ancien mot de passe est incorrect"],
  ["and is not an old one", "le mot de passe est trop court, trop long ou déjà utilisé"],
  ["wrong name or password", "identifiant ou mot de passe refusé"],
  ["too many failed sign-ins", "trop de tentatives de connexion refusées"],
  ["the intervention was closed", "l’intervention a été close"],
  ["the data disk does not answer", "le disque des données ne répond pas ; réessayez quand il sera revenu"],
  ["nothing was recorded in this interval", "rien n'a été enregistré dans cet intervalle"],
  ["nothing was recorded", "rien n'a été enregistré"],
  ["the interval ends before it begins", "la fin de l'intervalle précède son début"],
  ["two extractions are being made", "deux extractions sont déjà en cours"],
  ["verifications are waiting", "d'autres vérifications sont déjà en attente"],
  ["too many playbacks are open", "trop de consultations sont ouvertes"],
  ["holds control characters", "le texte contient des caractères de contrôle"],
  ["a body of this type is at most", "la demande est trop longue pour le relais"],
  ["is longer than", "le texte est trop long"],
  [
    "extract it for this procedure and hand it over first",
    "il faut d'abord l'extraire pour cette procédure et remettre l'archive",
  ],
  ["a hold is opened before the term", "une conservation s'ouvre avant le terme"],
  ["this recording is held for this procedure already", "cet enregistrement est déjà conservé pour cette procédure"],
  ["this hold is lifted already", "cette conservation est déjà levée"],
  ["no such hold", "conservation inconnue"],
  ["no such recording", "enregistrement inconnu"],
  ["no such intervention", "intervention inconnue"],
  ["the authorisation covers", "le nombre de caméras autorisé est atteint"],
  ["is not in the authorisation", "cette commune n'est pas visée par l'autorisation"],
  ["this regime has no sound", "ce régime ne transmet aucun son"],
  ["exists", "existe déjà"],
  ["this camera's sound is recorded", "le son de cette caméra est enregistré, il ne s'écoute pas en direct"],
  ["a live transmission needs a threat", "la transmission en temps réel suppose une menace : agents, biens ou personnes"],
  ["the regime of this source is unknown", "le régime de cette source est inconnu"],
  ["this camera is on worker", "cette caméra vient de changer de serveur vidéo"],
  ["no such slot, or no sound was agreed", "aucun son n'est prévu sur cette liaison"],
  ["no such session", "le relais ne connaît plus cette session"],
  ["no such playback", "cette consultation est terminée"],
  ["no such export", "cette extraction n'existe plus"],
  ["no such camera", "caméra inconnue"],
  ["no camera ", "caméra inconnue"],
  ["no user ", "utilisateur inconnu"],
  ["is revoked", "cette caméra est révoquée"],
  ["may not ", "votre rôle ne le permet pas"],
  ["sign in first", "connectez-vous d'abord"],
  ["X-CSRF does not match", "cette page n'est plus à jour : rechargez-la"],
  ["this Origin is not ours", "cette page ne vient pas du relais"],
  ["too many requests from this address", "trop de demandes depuis ce poste"],
  ["too many sign-ins at once", "trop de connexions en même temps"],
  ["too many viewer sessions", "trop de pages ouvertes sous ce nom"],
  ["a camera is 1 to 40", "un identifiant de caméra : 1 à 40 lettres minuscules sans accent, chiffres ou tirets intérieurs"],
  ["a user is 1 to 40", "un identifiant : 1 à 40 lettres minuscules sans accent, chiffres ou tirets intérieurs"],
  ["is open to videoprotection only", "l'accès habilité (L252-3) ne concerne que la vidéoprotection"],
  ["another process is running", "un autre relais est en marche sur ces données"],
  ["is not there", "une partie du relais ne répond pas : elle redémarre"],
  ["is required", "un champ obligatoire est vide"],
  ["missing: ", "un champ obligatoire manque"],
];

/** `(ACC-03)`, `(JRN-02: R241-5, R241-14)`: which rule was applied. */
const RULE = /\(([A-Z]{3}-\d\d[^)]*)\)/;

/** Return a refusal in French, with the rule it cites; unknown sentences as they came. */
export function refusalInFrench(detail: string): string {
  const known = FRENCH.find(([english]) => detail.includes(english));
  if (known === undefined) return detail;
  const rule = RULE.exec(detail)?.[1];
  return rule === undefined ? known[1] : `${known[1]} (${rule})`;
}
