"""Where each legal requirement is applied, and which test fails without it.

Owns: the table.  Must never know: how a requirement is applied.  A test checks that every place and test named here exists, and
that every requirement id cited in the code is in this table.

Ids: REC recording, LIV live, ACC access, TRF transfer, INT integrity, SEC security, JRN journal, RET retention, EXT extraction,
RGT rights, AI, GOV governance, VID fixed cameras.  Articles are of the Code de la sécurité intérieure unless named otherwise
(LIL: loi 78-17; CP: Code pénal; CPP: Code de procédure pénale).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirement:
    """`places` are `module:name` (`Class.method` for a method), `tests` are `file::function`."""

    article: str
    words: str
    places: tuple[str, ...]
    tests: tuple[str, ...]


_POLICY = "tests/unit/policy/"
_LIVE = "tests/unit/live/"
_VIEWING = "tests/unit/viewing/"
_ARCHIVE = "tests/unit/archive/"
_PEOPLE = "tests/unit/people/"
_STORE = "tests/unit/store/"
_LINE = "tests/integration/test_control_line.py::"

ENFORCED: dict[str, Requirement] = {
    "REC-02": Requirement(
        "L241-1, L241-2 al.1",
        "a recording has a trigger and an intervention",
        ("relay.archive.recordings:Recordings.begin", "relay.people.interventions:Interventions.open_by_camera"),
        (_ARCHIVE + "test_recordings.py::test_the_journal_knows_of_a_recording_before_its_key_and_row_exist",),
    ),
    "REC-03": Requirement(
        "R241-1 I, R241-8 II, R241-9",
        "only enrolled cameras, at most the authorised number, in the authorised communes",
        ("relay.people.enrolment:Enrolment.recognise", "relay.store.accounts:Accounts.add_camera"),
        (
            _PEOPLE + "test_enrolment.py::test_a_token_is_recognised_for_its_own_camera_only_and_not_stored",
            _PEOPLE + "test_enrolment.py::test_the_prefects_number_of_cameras_is_kept_and_a_revoked_one_makes_room",
            _PEOPLE + "test_enrolment.py::test_what_is_not_a_lawful_camera_is_not_enrolled",
        ),
    ),
    "REC-08": Requirement(
        "R241-2 1° à 4°, R241-10",
        "the data of a recording: times, bearer, place; the bearer goes with the recording",
        ("relay.store.catalogue:Recording", "relay.archive.retention:Retention._erase"),
        (_ARCHIVE + "test_retention.py::test_nothing_goes_before_the_paris_day_of_its_term_and_everything_on_it",),
    ),
    "REC-09": Requirement(
        "R241-2 5° à 7°",
        "an export carries its motive, requesting agent and service, procedure number",
        ("relay.archive.exports:ExportRequest", "relay.archive.exports:Exports.request"),
        (_ARCHIVE + "test_exports.py::test_every_legal_field_is_required_and_the_refusal_is_entered",),
    ),
    "REC-10": Requirement(
        "R241-2, R241-10 last al.",
        "search by metadata only, nothing about persons",
        ("relay.store.catalogue:RecordingFilter",),
        (_POLICY + "test_requirements.py::test_recordings_are_searched_by_metadata_only",),
    ),
    "LIV-01": Requirement(
        "L241-1, L241-2 al.5; R241-3 I, R241-11 I",
        "live only when agents, goods or persons are at immediate risk",
        ("relay.policy.motives:check_threat", "relay.policy.access:decide", "relay.archive.recordings:Recordings.begin"),
        (
            _POLICY + "test_motives.py::test_a_transmission_names_whose_integrity_is_at_risk",
            _POLICY + "test_access.py::test_a_live_view_is_refused_for_each_missing_fact",
            _ARCHIVE + "test_recordings.py::test_a_recording_needs_a_declared_threat_where_its_regime_asks_for_one",
        ),
    ),
    "LIV-02": Requirement(
        "L241-1, L241-2 al.5",
        "a transmission is recorded",
        (
            "relay.live.capture:Capture.begin",
            "relay.worker.camera_peer:CameraPeer.begin_recording",
            "relay.policy.access:decide",
        ),
        (
            _POLICY + "test_access.py::test_a_live_view_is_refused_for_each_missing_fact",
            "tests/integration/test_worker_channel.py"
            "::test_before_the_signed_start_a_camera_is_shown_to_nobody_and_its_first_picture_waits",
        ),
    ),
    "LIV-03": Requirement(
        "R241-3-1 II, R241-12 II",
        "live pictures for the command post of the same service only",
        ("relay.policy.access:decide", "relay.policy.roles:GRANTS"),
        (
            _POLICY + "test_access.py::test_each_role_has_its_actions_and_no_other",
            _POLICY + "test_access.py::test_no_combination_shows_a_picture_against_the_rules",
        ),
    ),
    "LIV-04": Requirement(
        "R241-3-1 II, R241-12 II",
        "live sound is off unless enrolled so, and impossible where the regime has none",
        (
            "relay.policy.regimes:check_live_audio",
            "relay.people.enrolment:Enrolment.enrol",
            "relay.live.streams:Streams.changed",
        ),
        (
            _PEOPLE + "test_enrolment.py::test_live_sound_is_off_unless_asked_for_and_never_where_the_law_has_none",
            _LIVE + "test_streams.py::test_sound_switched_off_is_switched_off_at_the_worker_before_that_is_answered",
        ),
    ),
    "LIV-05": Requirement(
        "R241-4 al.4, R241-13 al.4",
        "no second recording: playback and extraction leave no media outside the vault",
        ("relay.archive.export_zip:ExportZip", "relay.archive.playback:Playbacks.media"),
        (_ARCHIVE + "test_exports.py::test_no_plain_media_rests_in_the_data_folder_during_or_after_an_extraction",),
    ),
    "LIV-06": Requirement(
        "R241-3 V, R241-11 V",
        "a view is in the journal before its first frame; no journal, no frame",
        ("relay.store.journal:Journal.append", "relay.archive.playback:Playbacks.open"),
        (
            _STORE + "test_journal.py::test_a_journal_that_cannot_be_written_refuses",
            _ARCHIVE + "test_playback.py::test_a_commander_plays_what_was_recorded_within_a_journalled_view",
        ),
    ),
    "LIV-07": Requirement(
        "L241-1, L241-2 al.5",
        "pictures end with their intervention, and after the time limit unless a person confirms the threat",
        (
            "relay.people.interventions:Interventions.close",
            "relay.live.streams:Streams.end_intervention",
            "relay.live.time_limit:TimeLimit.tick",
            "relay.live.time_limit:TimeLimit.confirm",
        ),
        (
            _PEOPLE + "test_interventions.py::test_a_closed_intervention_gives_no_more_pictures_and_notifies_its_listeners",
            _LINE + "test_closing_an_intervention_ends_its_transmissions",
            _LINE + "test_a_step_of_the_wall_clock_ends_no_transmission",
            _LINE + "test_a_step_of_the_wall_clock_ends_no_transmission_and_prolongs_none_across_a_restart",
            _LIVE + "test_time_limit.py::test_a_transmission_is_announced_ten_minutes_before_its_end_and_then_ends",
            _LIVE + "test_time_limit.py::test_a_transmission_confirmed_with_a_motive_goes_on_and_the_journal_says_so",
            _LIVE + "test_time_limit.py::test_who_may_not_see_it_confirms_nothing_and_the_refusal_is_entered",
        ),
    ),
    "ACC-01": Requirement(
        "R241-3-1 I, R241-12 I",
        "designated persons only, from a day to a day, with one role",
        ("relay.policy.access:decide", "relay.people.designations:Designations.add"),
        (
            _POLICY + "test_access.py::test_no_combination_shows_a_picture_against_the_rules",
            _PEOPLE + "test_sign_ins.py::test_every_way_a_session_ends",
        ),
    ),
    "ACC-03": Requirement(
        "R241-3 IV, R241-11 IV",
        "consultation after the intervention, of a closed recording",
        ("relay.policy.access:decide",),
        (
            _POLICY + "test_access.py::test_a_stored_picture_is_refused_for_each_missing_fact",
            _ARCHIVE + "test_playback.py::test_a_recording_in_progress_is_not_played",
        ),
    ),
    "ACC-04": Requirement(
        "R241-3-1 I, R241-12 I last al.",
        "extraction by those habilitated only",
        ("relay.policy.roles:GRANTS", "relay.archive.exports:Exports.request"),
        (_ARCHIVE + "test_exports.py::test_only_commanders_extract",),
    ),
    "INT-01": Requirement(
        "L241-1, L241-2 al.6; R241-3 V",
        "integrity is checkable by anyone until erasure; a recording that is not as sealed does not leave",
        ("relay.evidence.verify:verify", "relay.archive.verification:Verification.verify"),
        (
            _ARCHIVE + "test_verification.py::test_one_flipped_bit_is_found",
            _ARCHIVE + "test_exports.py::test_bytes_that_are_not_as_sealed_never_leave",
        ),
    ),
    "SEC-01": Requirement(
        "LIL 99 II",
        "passwords, sessions and tokens resist theft and guessing",
        ("relay.policy.lockout:wait_seconds", "relay.people.sign_ins:SignIns.sign_in", "relay.people.passwords:Passwords"),
        (
            _PEOPLE + "test_sign_ins.py::test_neither_token_nor_password_rests_in_clear_on_disk",
            _PEOPLE + "test_sign_ins.py::test_failures_lock_the_name_for_a_while_even_for_the_right_password",
            _PEOPLE + "test_sign_ins.py::test_a_one_time_password_opens_nothing_but_its_own_change",
            _PEOPLE + "test_sign_ins.py::test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_sign_in_or_a_view_token",
        ),
    ),
    "SEC-02": Requirement(
        "CNIL",
        "a lost camera is revoked and never publishes again",
        ("relay.people.enrolment:Enrolment.revoke",),
        (_PEOPLE + "test_enrolment.py::test_a_revoked_camera_is_notified_at_once_and_never_recognised_again",),
    ),
    "JRN-01": Requirement(
        "R241-5, R241-14; LIL 101",
        "collection, modification, consultation, communication, erasure and transfer are entered",
        ("relay.store.journal:Operation", "relay.archive.check:Check.run", "relay.archive.repair:Repair.run"),
        (
            _ARCHIVE + "test_check.py::test_each_damage_is_named_and_nothing_else",
            _ARCHIVE + "test_repair.py::test_what_is_safe_is_mended_entered_and_agrees_afterwards",
        ),
    ),
    "JRN-02": Requirement(
        "R241-5, R241-14 al.2",
        "no consultation or communication without a motive",
        (
            "relay.policy.motives:check_motive",
            "relay.store.journal:Journal.append",
            "relay.people.interventions:Interventions.motive_of",
        ),
        (
            _STORE + "test_journal.py::test_a_consultation_without_motive_is_refused",
            _PEOPLE + "test_interventions.py::test_no_motive_no_intervention_and_the_refusal_is_entered",
            _ARCHIVE + "test_playback.py::test_without_a_motive_there_is_no_picture",
        ),
    ),
    "JRN-03": Requirement(
        "R241-5, R241-14 al.3; R253-5",
        "the journal is kept three years, then purged, and still verifies",
        (
            "relay.policy.retention:journal_purge_ns",
            "relay.store.journal:Journal.purge",
            "relay.archive.retention:Retention.sweep",
        ),
        (
            _POLICY + "test_retention.py::test_journal_entries_are_kept_three_calendar_years",
            _STORE + "test_journal_check.py::test_entries_purged_after_three_years_lose_their_words_and_still_verify",
            _ARCHIVE + "test_retention.py::test_the_journal_loses_the_words_of_entries_three_years_old",
        ),
    ),
    "JRN-04": Requirement(
        "LIL 101",
        "the journal is read by auditors only",
        ("relay.policy.roles:GRANTS",),
        (_POLICY + "test_access.py::test_each_role_has_its_actions_and_no_other",),
    ),
    "JRN-05": Requirement(
        "CNIL 2021-122",
        "append-only, signed at creation, checked; addresses stay out of it",
        (
            "relay.store.journal:Journal.checkpoint",
            "relay.store.journal_check:verify_journal",
            "relay.store.anonymous:AnonymousRefusals",
        ),
        (
            _STORE + "test_journal_check.py::test_tampering_is_found_and_named",
            _STORE + "test_journal_check.py::test_the_database_itself_refuses_to_change_or_drop_an_entry",
            _STORE + "test_anonymous.py::test_one_entry_per_source_and_minute_with_its_count",
        ),
    ),
    "RET-01": Requirement(
        "L241-1, L241-2 al.7; R241-4, R241-13",
        "one calendar month after the Paris day of recording it erases itself, journalled",
        (
            "relay.policy.retention:expires_on",
            "relay.archive.retention:Retention.sweep",
            "relay.archive.retention:Retention.finish_erasure",
            "relay.base.clock:ConservativeClock",
        ),
        (
            _POLICY + "test_retention.py::test_the_term_is_one_calendar_month_after_the_paris_day",
            _POLICY + "test_retention.py::test_no_recording_outlives_one_calendar_month",
            _ARCHIVE + "test_retention.py::test_the_entry_stands_before_the_key_goes_and_the_key_goes_before_the_files",
            _ARCHIVE + "test_retention.py::test_nothing_goes_before_the_paris_day_of_its_term_and_everything_on_it",
            _ARCHIVE + "test_retention.py::test_a_clock_that_is_stepped_ahead_erases_nothing_early",
            _ARCHIVE + "test_retention.py::test_a_clock_that_is_put_right_again_is_believed_at_once",
            _ARCHIVE + "test_retention.py::test_a_clock_that_was_behind_is_believed_after_a_day",
            _ARCHIVE + "test_retention.py::test_a_clock_that_is_stepped_back_erases_an_hour_later_and_still_on_the_day",
            _ARCHIVE + "test_repair.py::test_an_entered_erasure_is_not_finished_by_a_clock_that_was_stepped_ahead",
            "tests/unit/base/test_clock.py::test_the_conservative_clock_is_never_ahead_of_the_wall_nor_of_time_that_passed",
            "tests/e2e/test_erasure.py::test_erased_means_that_no_file_holds_the_key",
        ),
    ),
    "RET-02": Requirement(
        "R241-4, R241-13 al.3",
        "kept longer only for a named procedure it was handed over for, opened before the term, reviewed, erased once lifted",
        (
            "relay.archive.holds:Holds.open",
            "relay.archive.holds:Holds.review",
            "relay.archive.holds:Holds.lift",
            "relay.policy.retention:lateness_seconds",
        ),
        (
            _ARCHIVE + "test_holds.py::test_a_held_recording_outlives_its_term_and_goes_once_lifted",
            _ARCHIVE + "test_holds.py::test_a_hold_without_its_procedure_is_refused",
            _ARCHIVE + "test_holds.py::test_only_what_was_handed_over_for_the_procedure_is_held",
            _ARCHIVE + "test_holds.py::test_a_hold_comes_before_the_term_and_from_a_commander",
            _ARCHIVE + "test_holds.py::test_a_review_that_nobody_makes_is_overdue_until_it_is_made",
            _ARCHIVE + "test_holds.py::test_a_clock_that_is_stepped_ahead_refuses_no_hold",
        ),
    ),
    "RET-03": Requirement(
        "CP 434-4",
        "no role has an action that deletes a recording",
        ("relay.policy.roles:Action",),
        (_POLICY + "test_requirements.py::test_no_role_can_delete_a_recording_or_an_entry",),
    ),
    "EXT-01": Requirement(
        "CPP 60-1, 77-1-1, 99-3",
        "an extraction names its legal basis",
        ("relay.policy.motives:check_legal_basis",),
        (_POLICY + "test_motives.py::test_an_unknown_legal_basis_is_no_basis",),
    ),
    "EXT-02": Requirement(
        "Crim. 21 Nov 2023, 23-81.591",
        "habilitated access without requisition is for fixed cameras only",
        ("relay.policy.motives:check_legal_basis",),
        (_POLICY + "test_motives.py::test_the_habilitated_access_is_for_fixed_cameras_only",),
    ),
    "EXT-03": Requirement(
        "CPP R15-33-67",
        "the package holds the untouched original, manifest, signatures and a standalone verifier",
        ("relay.archive.export_zip:ExportZip",),
        (
            _ARCHIVE + "test_exports.py::test_an_archive_verifies_for_its_interval_with_nothing_but_the_public_key",
            _ARCHIVE + "test_exports.py::test_the_signed_list_covers_every_file_that_the_chain_does_not",
        ),
    ),
    "VID-01": Requirement(
        "R253-1",
        "fixed cameras have no sound",
        (
            "relay.policy.regimes:check_live_audio",
            "relay.live.publishing:Publishing._open",
            "relay.transport.sdp:answer_publisher",
        ),
        (
            "tests/integration/test_control_line.py::test_a_worker_knows_where_no_sound_may_be_recorded",
            "tests/e2e/test_whole_line.py::test_where_the_law_has_no_sound_the_recorded_file_has_none",
            "tests/integration/test_worker_line.py::test_sound_of_a_camera_whose_regime_records_none_goes_nowhere",
            _PEOPLE + "test_enrolment.py::test_live_sound_is_off_unless_asked_for_and_never_where_the_law_has_none",
        ),
    ),
    "VID-03": Requirement(
        "R253-3 II 2°, L132-14-1",
        "people watch the communes they are competent for",
        ("relay.policy.access:decide", "relay.policy.access:in_scope"),
        (
            _POLICY + "test_access.py::test_a_fixed_camera_needs_no_threat_but_its_commune",
            _PEOPLE + "test_enrolment.py::test_people_see_the_fixed_cameras_of_their_communes_only",
        ),
    ),
    "VID-04": Requirement(
        "L252-3, L252-5, R253-4",
        "a prefect's act can only shorten the month",
        ("relay.policy.retention:expires_on", "relay.archive.recordings:Recordings.begin"),
        (
            _POLICY + "test_retention.py::test_a_prefects_act_can_only_shorten",
            _ARCHIVE + "test_recordings.py::test_the_prefects_term_goes_into_the_plan_of_a_fixed_cameras_recording",
        ),
    ),
}

OUTSIDE: dict[str, str] = {
    "REC-01": "a recording begins with a transmission that the bearer opens or accepts; there is no always-on mode",
    "REC-04": "the visible signal is the camera's; `live.recording_supervisor` ends a transmission whose recording ended",
    "REC-05": "informing filmed persons is the bearer's; not recorded yet",
    "REC-06": "public notice: the service's",
    "REC-07": "purposes: the service's; no statistics about agents exist here",
    "REC-11": "the pre-event buffer stays in the camera",
    "ACC-02": "a bearer's own access: no bearer role yet, so no role grants it",
    "ACC-05": "secondary recipients receive an extraction, with their name in its entry",
    "TRF-01": "ingest of originals kept by cameras: not built yet",
    "INT-02": "clock offsets are measured and sealed by the recorder; bearers do not authenticate per shift yet",
    "SEC-03": "breach register: the service's",
    "RET-04": "no training copies are made",
    "EXT-04": "export norms for fixed cameras: lossless by construction, nothing burnt in",
    "RGT-01": "requests of filmed persons: the service's",
    "AI-01": "no analysis of pictures exists",
    "AI-02": "no analysis of pictures exists",
    "GOV-01": "conventions and commitments: the service's",
    "GOV-02": "annual report: not built yet; its figures are in the journal",
    "GOV-03": "register and impact assessment: the service's",
    "VID-02": "privacy masks: not built; do not enrol a fixed camera that sees into dwellings",
    "VID-05": "the same journal serves fixed cameras",
    "VID-06": "inspection: the auditor's role, `relay check` and `relay verify`",
}
"""Requirements that this code does not apply: why not, or who applies them."""
