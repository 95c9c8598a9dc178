"""The body of a request for an extraction, as a commander sends it."""

PROCEDURE = "PV 12/2026"
REQUISITION = {
    "from": 0,
    "to": 1 << 62,
    "motive": "réquisition du parquet",
    "legal_basis": "CPP_60-1",
    "requesting_agent": "OPJ Bernard",
    "requesting_service": "SRPJ",
    "procedure_no": PROCEDURE,
}
"""The whole of a recording."""
