"""Everything the cloud can refuse, as one list: RainMaker's numbers where they are known, our own where they are not.

RainMaker does not publish its OTA codes; 105xxx (images) and 106xxx (jobs) are this cloud's own and stable.
"""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    """``error_code`` and HTTP status of each refusal."""

    INVALID_REQUEST = 100006, 400
    NODE_ID_MISSING = 100009, 400
    NODE_NOT_OF_USER = 100010, 400
    NOT_AN_ADMIN = 100011, 403
    FOREIGN_ORIGIN = 100012, 403
    FOREIGN_HOST = 100013, 403
    BODY_TOO_LARGE = 100014, 413
    STORAGE_FULL = 100015, 507
    DATABASE_FAILS = 100016, 503
    INTERNAL = 100500, 500
    NOT_SERVED = 100501, 501

    EMAIL_FORMAT = 101002, 400
    WRONG_PASSWORD = 101009, 401
    USER_EXISTS = 101010, 409
    WRONG_CODE = 101011, 400
    NOT_VERIFIED = 101015, 403
    WRONG_REFRESH_TOKEN = 101016, 401
    TOO_OFTEN = 101020, 429
    USER_UNKNOWN = 101021, 404
    SESSION_UNKNOWN = 101022, 404
    LOCAL_ADMIN_STAYS = 101023, 409

    PARAMS_NOT_SENT = 102002, 400
    MAPPING_UNKNOWN = 103001, 404
    SHARING_UNKNOWN = 103002, 404
    NOT_PRIMARY = 103003, 403

    VIRTUAL_NODE_UNKNOWN = 104001, 404
    VIRTUAL_NODE_REFUSED = 104002, 409
    NO_VIRTUAL_NODES = 104003, 501

    IMAGE_UNKNOWN = 105001, 404
    NOT_AN_APP_IMAGE = 105002, 422
    IMAGE_NAME_TAKEN = 105003, 409
    IMAGE_IN_USE = 105004, 409
    IMAGE_TOO_LARGE = 105005, 413
    IMAGE_ARCHIVED = 105006, 409
    IMAGE_UNDESCRIBED = 105007, 400
    UPLOAD_UNKNOWN = 105008, 404
    UPLOAD_EMPTY = 105009, 409
    LINK_REFUSED = 105010, 403

    JOB_UNKNOWN = 106001, 404
    JOB_TARGETS = 106002, 400
    JOB_NOT_CANCELLED = 106003, 409
    JOB_METADATA = 106005, 400
    OTA_STATUS_UNKNOWN = 106006, 404
    NODE_OFFLINE = 106007, 400
    NO_UPDATE = 106008, 400
    JOB_PLAN = 106009, 400
    JOB_OVER = 106010, 409
    JOB_NOT_PAUSED = 106011, 409
    JOB_RUNS = 106012, 409
    WRONG_CHIP = 106013, 409
    NO_REHEARSAL = 106014, 501
    REHEARSAL_REFUSED = 106015, 409
    REHEARSAL_UNKNOWN = 106016, 404

    GROUP_UNKNOWN = 107001, 404
    GROUP_REFUSED = 107002, 400
    GROUP_NAME_TAKEN = 107003, 409

    WEBHOOK_UNKNOWN = 108001, 404
    WEBHOOK_REFUSED = 108002, 400

    def __init__(self, error_code: int, http_status: int) -> None:
        self.error_code = error_code
        self.http_status = http_status


class CloudError(Exception):
    """The cloud says no: which refusal, and one sentence with the facts. ``extra`` goes into the JSON as it is."""

    def __init__(self, refusal: Refusal, description: str, **extra: object) -> None:
        super().__init__(description)
        self.refusal = refusal
        self.description = description
        self.extra = extra
