"""Broken frames, and a few odd but good ones, each with what the station has to make of it.

A case is (name, frame, what, id): what is the error code of the CALLERROR that must answer it, with that id; or
"call", a frame that must be handled; or "ignored", a frame that must not be answered at all (id None).
"""

import json

IGNORED = "ignored"
CALL = "call"

FORMAT = "FormatViolation"
NOT_IMPLEMENTED = "NotImplemented"
NOT_SUPPORTED = "NotSupported"
OCCURRENCE = "OccurrenceConstraintViolation"
PROPERTY = "PropertyConstraintViolation"
PROTOCOL = "ProtocolError"
RPC = "RpcFrameworkError"
TYPE = "TypeConstraintViolation"
UNKNOWN_TYPE = "MessageTypeNotSupported"

MAX_SIZE = 4096
"""The `max_size` with which the corpus is meant to be run."""

Case = tuple[str, str | bytes, str, str | None]

GET = {"component": {"name": "Fan"}, "variable": {"name": "Speed"}}
SET = {**GET, "attributeValue": "1"}


def call(action: object, payload: object, message_id: object = "id") -> str:
    return json.dumps([2, message_id, action, payload])


def get(entry: object) -> str:
    return call("GetVariables", {"getVariableData": [entry]})


def set_(entry: object) -> str:
    return call("SetVariables", {"setVariableData": [entry]})


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def with_custom(custom: str) -> str:
    return f'[2,"id","Reset",{{"type":"OnIdle","customData":{{"vendorId":"com.example","x":{custom}}}}}]'


NOT_JSON: list[Case] = [
    ("nothing", "", RPC, "-1"),
    ("no bytes", b"", RPC, "-1"),
    ("blank", " \r\n\t", RPC, "-1"),
    ("prose", "hello", RPC, "-1"),
    ("http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", RPC, "-1"),
    ("xml", '<?xml version="1.0"?><a/>', RPC, "-1"),
    ("open array", "[", RPC, "-1"),
    ("closed array", "]", RPC, "-1"),
    ("comma", "[,]", RPC, "-1"),
    ("half a type", "[2", RPC, "-1"),
    ("half an id", '[2,"i', RPC, "-1"),
    ("id and no more", '[2,"id"', RPC, "id"),
    ("half an action", '[2,"id","Get', RPC, "id"),
    ("no payload yet", '[2,"id","GetVariables",', FORMAT, "id"),
    ("half a payload", '[2,"id","GetVariables",{"getVar', FORMAT, "id"),
    ("blanks before half a payload", ' [ 2 , "id" , "GetVariables" , {', FORMAT, "id"),
    ("no closing bracket", '[2,"id","Reset",{"type":"OnIdle"}', FORMAT, "id"),
    ("trailing comma", '[2,"id","Reset",{"type":"OnIdle"},]', FORMAT, "id"),
    ("trailing garbage", '[2,"id","Reset",{"type":"OnIdle"}]x', FORMAT, "id"),
    ("two frames", '[2,"id","Reset",{"type":"OnIdle"}][2,"b","Reset",{"type":"OnIdle"}]', FORMAT, "id"),
    ("single quotes", "[2,'id','Reset',{}]", RPC, "-1"),
    ("bare key", '[2,"id","Reset",{type:"OnIdle"}]', FORMAT, "id"),
    ("comment", '[2,"id","Reset",{/* now */"type":"OnIdle"}]', FORMAT, "id"),
    ("python's literals", '[2,"id","Reset",{"type":None}]', FORMAT, "id"),
    ("NaN", '[2,"id","Reset",{"type":"OnIdle","evseId":NaN}]', FORMAT, "id"),
    ("Infinity", '[2,"id","Reset",{"type":"OnIdle","evseId":Infinity}]', FORMAT, "id"),
    ("-Infinity", '[2,"id","Reset",{"type":"OnIdle","evseId":-Infinity}]', FORMAT, "id"),
    ("NaN in custom data", with_custom("NaN"), FORMAT, "id"),
    ("leading zero", '[2,"id","Reset",{"type":"OnIdle","evseId":01}]', FORMAT, "id"),
    ("plus sign", '[2,"id","Reset",{"type":"OnIdle","evseId":+1}]', FORMAT, "id"),
    ("hexadecimal", '[2,"id","Reset",{"type":"OnIdle","evseId":0x1}]', FORMAT, "id"),
    ("a number of 4000 digits", with_custom("9" * 4000), CALL, "id"),
    ("lone surrogate, escaped", '[2,"id","Reset",{"type":"\\ud800"}]', FORMAT, "id"),
    ("lone surrogate in the id", '[2,"\\udfff","Reset",{"type":"OnIdle"}]', RPC, "-1"),
    ("lone surrogate in a text", '[2,"id","Reset",{"type":"\ud800"}]', FORMAT, "id"),
    ("bad escape", '[2,"id","Reset",{"type":"\\x41"}]', FORMAT, "id"),
    ("raw new line in a string", '[2,"id","Reset",{"type":"On\nIdle"}]', FORMAT, "id"),
    ("raw NUL in a string", '[2,"id","Reset",{"type":"On\x00Idle"}]', FORMAT, "id"),
    ("NUL bytes", b"\x00\x00\x00\x00", RPC, "-1"),
    ("byte order mark", '\ufeff[2,"id","Reset",{"type":"OnIdle"}]', RPC, "-1"),
    ("byte order mark, bytes", b'\xef\xbb\xbf[2,"id","Reset",{"type":"OnIdle"}]', RPC, "-1"),
    ("UTF-16", '[2,"id","Reset",{"type":"OnIdle"}]'.encode("utf-16-le"), RPC, "-1"),
    ("invalid UTF-8 first", b"\xff\xfe[2]", RPC, "-1"),
    ("invalid UTF-8 in the id", b'[2,"i\xff","Reset",{"type":"OnIdle"}]', RPC, "-1"),
    ("invalid UTF-8 in the payload", b'[2,"id","Reset",{"type":"On\xffIdle"}]', FORMAT, "id"),
    ("cut UTF-8", '[2,"id","Reset",{"type":"é'.encode()[:-1], FORMAT, "id"),
    ("overlong UTF-8", b'[2,"id","Reset",{"type":"\xc0\xaf"}]', FORMAT, "id"),
    ("random bytes", bytes(range(128, 256)), RPC, "-1"),
    ("arrays as deep as the frame", "[" * 2000, RPC, "-1"),
    ("arrays as deep as the frame, closed", "[" * 2000 + "]" * 2000, RPC, "-1"),
    ("objects 600 deep", with_custom(nested(600)), FORMAT, "id"),
    ("objects 190 deep", with_custom(nested(190)), CALL, "id"),
]

NO_CALL: list[Case] = [
    ("null", "null", RPC, "-1"),
    ("true", "true", RPC, "-1"),
    ("a number", "42", RPC, "-1"),
    ("a string", '"[2]"', RPC, "-1"),
    ("an object", '{"type":2,"id":"id"}', RPC, "-1"),
    ("an empty array", "[]", RPC, "-1"),
    ("only a type", "[2]", RPC, "-1"),
    ("only an unknown type", "[9]", RPC, "-1"),
    ("an array in an array", '[[2,"id","Reset",{"type":"OnIdle"}]]', RPC, "-1"),
    ("type as a string", '["2","id","Reset",{"type":"OnIdle"}]', RPC, "id"),
    ("type with a fraction", '[2.5,"id","Reset",{"type":"OnIdle"}]', RPC, "id"),
    ("type null", '[null,"id","Reset",{"type":"OnIdle"}]', RPC, "id"),
    ("type true", '[true,"id","Reset",{"type":"OnIdle"}]', RPC, "id"),
    ("type and id swapped", '["id",2,"Reset",{"type":"OnIdle"}]', RPC, "-1"),
    ("type 0", '[0,"id"]', UNKNOWN_TYPE, "id"),
    ("type 1", '[1,"id","Reset",{}]', UNKNOWN_TYPE, "id"),
    ("type 5", '[5,"id","GenericError","",{}]', UNKNOWN_TYPE, "id"),
    ("type 6", '[6,"id","NotifyPeriodicEventStream",{}]', UNKNOWN_TYPE, "id"),
    ("type -2", '[-2,"id","Reset",{}]', UNKNOWN_TYPE, "id"),
    ("type of 30 digits", f'[{"2" * 30},"id","Reset",{{}}]', UNKNOWN_TYPE, "id"),
    ("id a number", call("Reset", {"type": "OnIdle"}, 19223201), RPC, "-1"),
    ("id null", call("Reset", {"type": "OnIdle"}, None), RPC, "-1"),
    ("id a list", call("Reset", {"type": "OnIdle"}, ["id"]), RPC, "-1"),
    ("id an object", call("Reset", {"type": "OnIdle"}, {"id": "id"}), RPC, "-1"),
    ("id of 37 characters", call("Reset", {"type": "OnIdle"}, "x" * 37), RPC, "-1"),
    ("id of 3000 characters", call("Reset", {"type": "OnIdle"}, "x" * 3000), RPC, "-1"),
    ("id of 36 characters", call("Reset", {"type": "OnIdle"}, "x" * 36), CALL, "x" * 36),
    ("id of 36 two-byte characters", call("Reset", {"type": "OnIdle"}, "é" * 36), CALL, "é" * 36),
    ("id with quotes", call("Reset", {"type": "OnIdle"}, 'a"b\\c\n'), CALL, 'a"b\\c\n'),
    ("id with quotes, refused", call("NoSuch", {}, 'a"b\\c\n'), NOT_IMPLEMENTED, 'a"b\\c\n'),
    ("id of an emoji", call("NoSuch", {}, "\U0001f600"), NOT_IMPLEMENTED, "\U0001f600"),
    ("id empty", call("Reset", {"type": "OnIdle"}, ""), CALL, ""),
    ("no action", '[2,"id"]', RPC, "id"),
    ("no payload", '[2,"id","Reset"]', RPC, "id"),
    ("no action but a payload", '[2,"id",{"type":"OnIdle"}]', RPC, "id"),
    ("one element too many", '[2,"id","Reset",{"type":"OnIdle"},{}]', RPC, "id"),
    ("action a number", call(7, {}), RPC, "id"),
    ("action null", call(None, {}), RPC, "id"),
    ("action a list", call(["Reset"], {}), RPC, "id"),
    ("action empty", call("", {}), NOT_IMPLEMENTED, "id"),
    ("action unknown", call("MakeCoffee", {}), NOT_IMPLEMENTED, "id"),
    ("action unknown and payload wrong", call("MakeCoffee", [1]), NOT_IMPLEMENTED, "id"),
    ("action of OCPP 1.6", call("ChangeConfiguration", {"key": "a", "value": "b"}), NOT_IMPLEMENTED, "id"),
    ("action in lower case", call("getvariables", {"getVariableData": [GET]}), NOT_IMPLEMENTED, "id"),
    ("action with Request", call("ResetRequest", {"type": "OnIdle"}), NOT_IMPLEMENTED, "id"),
    ("action with a blank", call("Reset ", {"type": "OnIdle"}), NOT_IMPLEMENTED, "id"),
    ("action of Python", call("__class__", {}), NOT_IMPLEMENTED, "id"),
    ("action for another station", call("SetDisplayMessage", {}), NOT_SUPPORTED, "id"),
    ("action of ISO 15118", call("CertificateSigned", {"certificateChain": "x"}), NOT_SUPPORTED, "id"),
    ("action that only stations send", call("BootNotification", {}), NOT_SUPPORTED, "id"),
    ("heartbeat from the CSMS", call("Heartbeat", {}), NOT_SUPPORTED, "id"),
]

PAYLOADS: list[Case] = [
    ("payload a list", call("Reset", []), PROTOCOL, "id"),
    ("payload a string", call("Reset", "OnIdle"), PROTOCOL, "id"),
    ("payload a JSON text", call("Reset", '{"type":"OnIdle"}'), PROTOCOL, "id"),
    ("payload a number", call("Reset", 1), PROTOCOL, "id"),
    ("payload false", call("Reset", False), PROTOCOL, "id"),
    ("payload null stands for {}", call("Reset", None), OCCURRENCE, "id"),
    ("payload empty", call("Reset", {}), OCCURRENCE, "id"),
    ("unknown field", call("Reset", {"type": "OnIdle", "force": True}), PROTOCOL, "id"),
    ("unknown field deep", get({**GET, "component": {"name": "Fan", "colour": "red"}}), PROTOCOL, "id"),
    ("field in snake case", call("GetReport", {"request_id": 1}), OCCURRENCE, "id"),
    ("a vendor's field outside custom data", call("Reset", {"type": "OnIdle", "vendorId": "x"}), PROTOCOL, "id"),
    ("unknown field of 3000 characters", call("Reset", {"type": "OnIdle", "x" * 3000: 1}), PROTOCOL, "id"),
    ("no list", call("GetVariables", {}), OCCURRENCE, "id"),
    ("list empty", call("GetVariables", {"getVariableData": []}), OCCURRENCE, "id"),
    ("optional list empty", call("GetReport", {"requestId": 1, "componentCriteria": []}), OCCURRENCE, "id"),
    ("list too long", call("GetReport", {"requestId": 1, "componentCriteria": ["Active"] * 5}), OCCURRENCE, "id"),
    ("no component", get({"variable": {"name": "Speed"}}), OCCURRENCE, "id"),
    ("no variable name", get({**GET, "variable": {}}), OCCURRENCE, "id"),
    ("no value", set_(GET), OCCURRENCE, "id"),
    ("no evse id", get({**GET, "component": {"name": "Fan", "evse": {"connectorId": 1}}}), OCCURRENCE, "id"),
    ("custom data without vendor", call("Reset", {"type": "OnIdle", "customData": {"a": 1}}), OCCURRENCE, "id"),
    ("no such enum value", call("Reset", {"type": "Soft"}), PROPERTY, "id"),
    ("enum value in lower case", call("Reset", {"type": "onidle"}), PROPERTY, "id"),
    ("enum value empty", call("Reset", {"type": ""}), PROPERTY, "id"),
    ("enum value in a list", call("GetReport", {"requestId": 1, "componentCriteria": ["Odd"]}), PROPERTY, "id"),
    ("name of 51 characters", get({**GET, "variable": {"name": "x" * 51}}), PROPERTY, "id"),
    ("name of 50 two-byte characters", get({**GET, "variable": {"name": "é" * 50}}), CALL, "id"),
    ("value of 1001 characters", set_({**SET, "attributeValue": "1" * 1001}), PROPERTY, "id"),
    ("value of 1000 characters", set_({**SET, "attributeValue": "1" * 1000}), CALL, "id"),
    ("value empty", set_({**SET, "attributeValue": ""}), CALL, "id"),
    (
        "vendor of 256 characters",
        call("Reset", {"type": "OnIdle", "customData": {"vendorId": "x" * 256}}),
        PROPERTY,
        "id",
    ),
    ("integer of 33 bits", call("Reset", {"type": "OnIdle", "evseId": 2**31}), PROPERTY, "id"),
    ("integer of 33 bits, negative", call("Reset", {"type": "OnIdle", "evseId": -(2**31) - 1}), PROPERTY, "id"),
    ("integer of 300 digits", call("Reset", {"type": "OnIdle", "evseId": int("9" * 300)}), PROPERTY, "id"),
    ("1e30 for an integer", '[2,"id","Reset",{"type":"OnIdle","evseId":1e30}]', PROPERTY, "id"),
    ("1e400 for an integer", '[2,"id","Reset",{"type":"OnIdle","evseId":1e400}]', TYPE, "id"),
    ("1e400 in custom data", with_custom("1e400"), CALL, "id"),
    ("1.0 for an integer", '[2,"id","Reset",{"type":"OnIdle","evseId":1.0}]', CALL, "id"),
    ("1.5 for an integer", call("Reset", {"type": "OnIdle", "evseId": 1.5}), TYPE, "id"),
    ("a string for an integer", call("Reset", {"type": "OnIdle", "evseId": "1"}), TYPE, "id"),
    ("true for an integer", call("Reset", {"type": "OnIdle", "evseId": True}), TYPE, "id"),
    ("null for an optional integer", call("Reset", {"type": "OnIdle", "evseId": None}), TYPE, "id"),
    (
        "null for an optional object",
        call("TriggerMessage", {"requestedMessage": "Heartbeat", "evse": None}),
        TYPE,
        "id",
    ),
    ("null for an optional enum", get({**GET, "attributeType": None}), TYPE, "id"),
    ("null for an optional list", call("GetReport", {"requestId": 1, "componentCriteria": None}), TYPE, "id"),
    ("null for a required field", call("Reset", {"type": None}), TYPE, "id"),
    ("null for custom data", call("Reset", {"type": "OnIdle", "customData": None}), TYPE, "id"),
    ("a number for an enum", call("Reset", {"type": 1}), TYPE, "id"),
    ("a list for an enum", call("Reset", {"type": ["OnIdle"]}), TYPE, "id"),
    ("a number for a string", set_({**SET, "attributeValue": 12}), TYPE, "id"),
    ("true for a string", set_({**SET, "attributeValue": True}), TYPE, "id"),
    ("an object for a string", set_({**SET, "attributeValue": {"a": 1}}), TYPE, "id"),
    ("a string for an object", get({**GET, "component": "Fan"}), TYPE, "id"),
    ("a list for an object", get({**GET, "component": ["Fan"]}), TYPE, "id"),
    ("an object for a list", call("GetVariables", {"getVariableData": GET}), TYPE, "id"),
    ("a string for a list", call("GetVariables", {"getVariableData": "Fan"}), TYPE, "id"),
    ("a string in a list of objects", get("Fan"), TYPE, "id"),
    ("null in a list", get(None), TYPE, "id"),
    ("a string for custom data", call("Reset", {"type": "OnIdle", "customData": "com.example"}), TYPE, "id"),
    ("the same key twice", '[2,"id","Reset",{"type":"Soft","type":"OnIdle"}]', CALL, "id"),
    ("an emoji as escapes", set_({**SET, "attributeValue": "\U0001f600"}), CALL, "id"),
    ("an escaped NUL", set_({**SET, "attributeValue": "a\x00b"}), CALL, "id"),
    ("bytes for text", call("Reset", {"type": "OnIdle"}).encode(), CALL, "id"),
    ("blanks all over", ' [ 2 ,\n"id" ,\t"Reset" , { "type" : "OnIdle" } ] \r\n', CALL, "id"),
]

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
START = {"remoteStartId": 1, "idToken": CARD}
RESERVE = {"id": 1, "expiryDateTime": "2026-01-31T12:00:00Z", "idToken": CARD}
PERIOD = {"startPeriod": 0, "limit": 6.0}
SCHEDULE = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]}
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [SCHEDULE],
}


def start(**more: object) -> str:
    return call("RequestStartTransaction", {**START, **more})


def with_token(**more: object) -> str:
    return start(idToken={**CARD, **more})


def with_profile(**more: object) -> str:
    return start(chargingProfile={**PROFILE, **more})


def reserve(**more: object) -> str:
    return call("ReserveNow", {**RESERVE, **more})


def list_(*entries: object, **more: object) -> str:
    update = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": list(entries)}
    return call("SendLocalList", {**update, **more})


CHARGING: list[Case] = [
    ("start", start(), CALL, "id"),
    ("start with a profile", with_profile(), CALL, "id"),
    ("start without a token", call("RequestStartTransaction", {"remoteStartId": 1}), OCCURRENCE, "id"),
    ("start without an id", call("RequestStartTransaction", {"idToken": CARD}), OCCURRENCE, "id"),
    ("start with a token that is a text", start(idToken="04A1B2C3"), TYPE, "id"),
    ("start with null for a group", start(groupIdToken=None), TYPE, "id"),
    ("start at an EVSE of words", start(evseId="one"), TYPE, "id"),
    ("start with more than is known", start(connectorId=1), PROTOCOL, "id"),
    ("token without a type", start(idToken={"idToken": "04A1B2C3"}), OCCURRENCE, "id"),
    ("token of no known type", with_token(type="RFID"), PROPERTY, "id"),
    ("token of 37 characters", with_token(idToken="x" * 37), PROPERTY, "id"),
    ("token of 36 characters", with_token(idToken="x" * 36), CALL, "id"),
    ("token without characters", with_token(idToken="", type="NoAuthorization"), CALL, "id"),
    ("token that is a number", with_token(idToken=4), TYPE, "id"),
    ("token with no more to say", with_token(additionalInfo=[]), OCCURRENCE, "id"),
    ("token with half of more", with_token(additionalInfo=[{"type": "pin"}]), OCCURRENCE, "id"),
    ("profile without a schedule", with_profile(chargingSchedule=[]), OCCURRENCE, "id"),
    ("profile with four schedules", with_profile(chargingSchedule=[SCHEDULE] * 4), OCCURRENCE, "id"),
    ("profile for no known purpose", with_profile(chargingProfilePurpose="Cheap"), PROPERTY, "id"),
    (
        "profile in horse power",
        with_profile(chargingSchedule=[{**SCHEDULE, "chargingRateUnit": "hp"}]),
        PROPERTY,
        "id",
    ),
    ("profile from a day that is none", with_profile(validFrom="2026-02-30T00:00:00Z"), PROPERTY, "id"),
    ("stop", call("RequestStopTransaction", {"transactionId": "T1"}), CALL, "id"),
    ("stop nothing", call("RequestStopTransaction", {}), OCCURRENCE, "id"),
    ("stop null", call("RequestStopTransaction", {"transactionId": None}), TYPE, "id"),
    ("stop a number", call("RequestStopTransaction", {"transactionId": 1}), TYPE, "id"),
    ("stop 37 characters", call("RequestStopTransaction", {"transactionId": "x" * 37}), PROPERTY, "id"),
    ("unlock", call("UnlockConnector", {"evseId": 1, "connectorId": 1}), CALL, "id"),
    ("unlock below zero", call("UnlockConnector", {"evseId": -1, "connectorId": -1}), CALL, "id"),
    ("unlock an EVSE", call("UnlockConnector", {"evseId": 1}), OCCURRENCE, "id"),
    ("unlock half a connector", call("UnlockConnector", {"evseId": 1, "connectorId": 0.5}), TYPE, "id"),
    ("unlock 33 bits", call("UnlockConnector", {"evseId": 2**31, "connectorId": 1}), PROPERTY, "id"),
    ("availability", call("ChangeAvailability", {"operationalStatus": "Operative"}), CALL, "id"),
    ("availability of nothing", call("ChangeAvailability", {}), OCCURRENCE, "id"),
    ("availability perhaps", call("ChangeAvailability", {"operationalStatus": "Perhaps"}), PROPERTY, "id"),
    ("availability true", call("ChangeAvailability", {"operationalStatus": True}), TYPE, "id"),
    ("availability of 1", call("ChangeAvailability", {"operationalStatus": "Operative", "evse": 1}), TYPE, "id"),
    (
        "availability of {}",
        call("ChangeAvailability", {"operationalStatus": "Operative", "evse": {}}),
        OCCURRENCE,
        "id",
    ),
    ("reservation", reserve(), CALL, "id"),
    ("reservation without an end", call("ReserveNow", {"id": 1, "idToken": CARD}), OCCURRENCE, "id"),
    ("reservation until tomorrow", reserve(expiryDateTime="tomorrow"), PROPERTY, "id"),
    ("reservation without a zone", reserve(expiryDateTime="2026-01-31T12:00:00"), PROPERTY, "id"),
    ("reservation in seconds", reserve(expiryDateTime=1769860800), TYPE, "id"),
    ("reservation of an odd plug", reserve(connectorType="cCHAdeMO"), PROPERTY, "id"),
    ("reservation without a number", reserve(id="1"), TYPE, "id"),
    ("cancel", call("CancelReservation", {"reservationId": 1}), CALL, "id"),
    ("cancel nothing", call("CancelReservation", {}), OCCURRENCE, "id"),
    ("cancel by its old name", call("CancelReservation", {"id": 1}), OCCURRENCE, "id"),
    ("cancel a text", call("CancelReservation", {"reservationId": "1"}), TYPE, "id"),
    ("clear the cache", call("ClearCache", {}), CALL, "id"),
    ("clear the cache, null", call("ClearCache", None), CALL, "id"),
    ("clear the cache of somebody", call("ClearCache", {"idToken": CARD}), PROTOCOL, "id"),
    ("clear the cache, a list", call("ClearCache", []), PROTOCOL, "id"),
    ("list", list_({"idToken": CARD, "idTokenInfo": {"status": "Accepted"}}), CALL, "id"),
    ("list of nobody", call("SendLocalList", {"versionNumber": 1, "updateType": "Full"}), CALL, "id"),
    ("list, empty", list_(), OCCURRENCE, "id"),
    ("list without a version", call("SendLocalList", {"updateType": "Full"}), OCCURRENCE, "id"),
    ("list with half an update", list_({"idToken": CARD}, updateType="Half"), PROPERTY, "id"),
    ("list of texts", list_("04A1B2C3"), TYPE, "id"),
    ("list of infos", list_({"idTokenInfo": {"status": "Accepted"}}), OCCURRENCE, "id"),
    ("list with an odd status", list_({"idToken": CARD, "idTokenInfo": {"status": "Good"}}), PROPERTY, "id"),
    ("list with null for an info", list_({"idToken": CARD, "idTokenInfo": None}), TYPE, "id"),
    ("list's version", call("GetLocalListVersion", {}), CALL, "id"),
    ("list's version asked with it", call("GetLocalListVersion", {"versionNumber": 1}), PROTOCOL, "id"),
    ("status of everything", call("GetTransactionStatus", {}), CALL, "id"),
    ("status of null", call("GetTransactionStatus", {"transactionId": None}), TYPE, "id"),
    ("status of 37 characters", call("GetTransactionStatus", {"transactionId": "x" * 37}), PROPERTY, "id"),
    ("authorize from the CSMS", call("Authorize", {"idToken": CARD}), NOT_SUPPORTED, "id"),
    ("a transaction from the CSMS", call("TransactionEvent", {}), NOT_SUPPORTED, "id"),
]

OVERSIZE: list[Case] = [
    ("too long", get({**GET, "variable": {"name": "x" * MAX_SIZE}}), FORMAT, "id"),
    ("too long and no JSON", '[2,"id","GetVariables",' + "x" * MAX_SIZE, FORMAT, "id"),
    ("too long, id far behind", " " * MAX_SIZE + call("Reset", {"type": "OnIdle"}), FORMAT, "-1"),
    ("too long, id too long", call("Reset", {"type": "OnIdle"}, "x" * MAX_SIZE), FORMAT, "-1"),
    ("too long, no array", "x" * (MAX_SIZE + 1), FORMAT, "-1"),
    ("too long in bytes, not in characters", f'[2,"id","Reset",{{"type":"{"€" * 1500}"}}]', FORMAT, "id"),
    ("too long result", f'[3,"id",{{"customData":"{"x" * MAX_SIZE}"}}]', IGNORED, None),
]

ANSWERS: list[Case] = [
    ("result nobody waits for", '[3,"id",{}]', IGNORED, None),
    ("result with too much", '[3,"id",{},{}]', IGNORED, None),
    ("result without payload", '[3,"id"]', IGNORED, None),
    ("result without id", "[3]", IGNORED, None),
    ("result with a number for an id", "[3,7,{}]", IGNORED, None),
    ("result with a long id", f'[3,"{"x" * 37}",{{}}]', IGNORED, None),
    ("half a result", '[3,"id",{"currentT', IGNORED, None),
    ("result with NaN", '[3,"id",{"interval":NaN}]', IGNORED, None),
    ("result of depth 600", f'[3,"id",{nested(600)}]', IGNORED, None),
    ("error nobody waits for", '[4,"id","GenericError","",{}]', IGNORED, None),
    ("error about what we sent", '[4,"-1","RpcFrameworkError","",{}]', IGNORED, None),
    ("error without anything", "[4]", IGNORED, None),
    ("error with a null id", '[4,null,"GenericError","",{}]', IGNORED, None),
    ("error without a code", '[4,"id"]', IGNORED, None),
    ("half an error", '[4,"id","Generic', IGNORED, None),
    ("error with invalid UTF-8", b'[4,"id","GenericError","\xff",{}]', IGNORED, None),
]

CORPUS: list[Case] = [*NOT_JSON, *NO_CALL, *PAYLOADS, *CHARGING, *OVERSIZE, *ANSWERS]
