"""Tracking keys become hosts and ports, and nothing else of them gets out."""

import base64
import json
import re

import pytest

from webhook.egress.destinations import (
    FORMER_FIELD,
    DerivedDestinations,
    Destination,
    derive,
    dump_former,
    load_former,
    parse_extra,
)
from webhook.egress.reasons import EgressReason

SECRET = "hunter2"  # noqa: S105 - what must not come out


def places(derived: DerivedDestinations) -> list[str]:
    """The destinations as `host:port`."""
    return [f"{d.host}:{d.port}" for d in derived.destinations]


def reasons(derived: DerivedDestinations) -> list[EgressReason]:
    """The findings' words."""
    return [f.reason for f in derived.findings]


def encoded(**fields: str) -> str:
    """JSON in base64, as some credentials carry it."""
    return base64.b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://t", ["t:443"]),
        ("http://mlflow.ml.svc", ["mlflow.ml.svc:80"]),
        ("http://MLflow.Example.COM.:5000/path?q=1#f", ["mlflow.example.com:5000"]),
        ("https://user:hunter2@t:8443", ["t:8443"]),
        ("http://[2001:DB8::1]:5000", ["2001:db8::1:5000"]),
        ("http://203.0.113.7", ["203.0.113.7:80"]),
        ("aim://aim.ml", ["aim.ml:53800"]),
        ("uc:http://catalog:8080", ["catalog:8080"]),
        ("http://bücher.example", ["xn--bcher-kva.example:80"]),
        ("postgresql+psycopg2://u:hunter2@db/x", ["db:5432"]),
        ("mysql://u:hunter2@db/x", ["db:3306"]),
        ("mysql://u:p%23%3F%2Fhunter2@db/x", ["db:3306"]),
        ("mysql://u:p@ss:hunter2@db/x", ["db:3306"]),
        ("https://mlflow.example.com/#/experiments/1", ["mlflow.example.com:443"]),
        ("HTTPS://T.Example.:5000", ["t.example:5000"]),
        ("http://b\xfccher.example.", ["xn--bcher-kva.example:80"]),
        (" https://t\n", ["t:443"]),
        ("postgresql://u:hunter2@/x?host=10.1.2.3&port=5433", ["10.1.2.3:5433"]),
        ("postgresql://u:hunter2@/x?host=a:1&host=b:2", ["a:1", "b:2"]),
        ("postgresql://u:hunter2@/x?host=a,b&port=1,2", ["a:1", "b:2"]),
        ("mssql+pyodbc://u:hunter2@db/x", ["db:1433"]),
    ],
)
def test_a_tracking_uri_names_a_host_and_a_port(uri: str, expected: list[str]) -> None:
    """The port is the URI's own, else its scheme's."""
    derived = derive({"TRACKING_URI": uri})

    assert places(derived) == expected
    assert SECRET not in repr(derived)


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5000",
        "http://127.0.0.1:5000",
        "http://[::1]",
        "http://a.localhost",
        "postgresql://u:hunter2@/db?host=/cloudsql/a:b:c",
        "mysql://u:hunter2@h/db?unix_socket=/run/x",
        "file:C:/runs",
        "~",
        "..",
        "C:\\runs",
        "",
        "sqlite:///x",
        "file:/x",
        "./mlruns",
        "/mnt/runs",
        "C:/runs",
        "~/runs",
    ],
)
def test_a_local_tracking_uri_needs_no_network(uri: str) -> None:
    """A path or a file database is no destination."""
    derived = derive({"TRACKING_URI": uri})

    assert (places(derived), reasons(derived)) == ([], [EgressReason.NO_NETWORK_NEEDED])
    assert SECRET not in repr(derived)


def test_without_any_key_that_names_a_server_nothing_is_needed() -> None:
    """Other keys are somebody else's."""
    derived = derive({"MLFLOW_EXPERIMENT_NAME": "https://not-a-server"})

    assert (places(derived), reasons(derived)) == ([], [EgressReason.NO_NETWORK_NEEDED])


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow-tracking",
        "mlflow.mlops.svc:5000",
        "localhost:5000",
        "user:hunter2@host",
        "http:/host/hunter2",
        "https:host",
        "'http://host'",
        '"http://host"',
        "\ufeffhttp://host",
        "http://host\nhunter2",
        "http://host:",
        "http://host:80:80",
        "http://h1:80,h2:80/",
        "http://[fe80::1%25eth0]:80",
        "http://[1.2.3.4]",
        "http://0x7f000001",
        "http://a.0x1",
        "http://010.0.0.1",
        "http://stra\xdfe.de",
        "http://host\\@hunter2",
        "mysql://u:p@w#hunter2@host:3306/db",
        "mysql://u:12#hunter2@host/db",
        "postgresql://u:p@host9?hunter2@host/db",
        "postgresql://u:p@w/hunter2@host/db",
        "postgresql://u:p@host#x",
        "postgresql://u:p@/db?host=a&port=x",
        "postgresql://u:p@/db?host=-bad-",
        "s3://bucket/hunter2",
        "s3:hunter2",
        "dbfs:/hunter2",
        "mlflow-artifacts:/hunter2",
        "http://",
        "http://host:hunter2",
        "http://user:80/hunter2@host",
        "http://host:0",
        "http://host:99999",
        "http://[::1",
        "http://1.2.3",
        "http://-bad-",
        "http://ho st",
        "http://" + "a" * 64,
        "http://" + ".".join(["a" * 60] * 5),
        "ftp://hunter2.example",
    ],
)
def test_a_malformed_uri_is_reported_without_repeating_it(uri: str) -> None:
    """A token pasted into the wrong key must not come out again."""
    derived = derive({"TRACKING_URI": uri})

    assert (places(derived), reasons(derived)) == ([], [EgressReason.MALFORMED_URI])
    assert not re.search("hunter2|host:|1.2.3|-bad-|aaaa|mlops|bucket", repr(derived))


def test_a_database_uri_is_permitted_with_a_warning() -> None:
    """Every task would hold the database's credentials."""
    derived = derive({"MLFLOW_TRACKING_URI": "postgresql://u:p@db:6000/x"})

    assert (places(derived), reasons(derived)) == (
        ["db:6000"],
        [EgressReason.DATABASE_URI],
    )


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "databricks-uc"])
def test_databricks_is_found_through_its_host(uri: str) -> None:
    """The URI only says that it is Databricks."""
    host = {"DATABRICKS_HOST": "https://adb-1.azuredatabricks.net/"}

    assert places(derive({"MLFLOW_TRACKING_URI": uri} | host)) == [
        "adb-1.azuredatabricks.net:443"
    ]


def test_databricks_host_may_lack_its_scheme() -> None:
    """The SDK accepts a bare host."""
    keys = {"TRACKING_URI": "databricks", "DATABRICKS_HOST": "dbc.example"}

    assert places(derive(keys)) == ["dbc.example:443"]


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("databricks", "set DATABRICKS_HOST"),
        ("arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/x", "settings"),
        ("uc", "settings"),
        ("uc:profile", "settings"),
        ("DATABRICKS", "set DATABRICKS_HOST"),
    ],
)
def test_an_indirect_uri_asks_for_its_host(uri: str, hint: str) -> None:
    """What names no host cannot be permitted by guessing."""
    derived = derive({"TRACKING_URI": uri})

    assert (places(derived), reasons(derived)) == ([], [EgressReason.HOST_NEEDED])
    assert hint in derived.findings[0].message


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"WANDB_API_KEY": "k"},
            [
                "api.forge.coreweave.com:443",
                "api.wandb.ai:443",
                "storage.googleapis.com:443",
            ],
        ),
        ({"WANDB_API_KEY": "k", "WANDB_BASE_URL": "https://w.b"}, ["w.b:443"]),
        ({"COMET_API_KEY": "k"}, ["www.comet.com:443"]),
        (
            {"COMET_API_KEY": "k", "COMET_URL_OVERRIDE": "https://c/clientlib/"},
            ["c:443"],
        ),
        (
            {"COMET_API_KEY": f"k*{encoded(baseUrl='https://own.comet')}"},
            ["own.comet:443"],
        ),
        ({"NEPTUNE_API_TOKEN": encoded(api_address="https://n.ai")}, ["n.ai:443"]),
        (
            {"NEPTUNE_API_TOKEN": encoded(api_address="https://n").rstrip("=")},
            ["n:443"],
        ),
        (
            {"CLEARML_API_ACCESS_KEY": "k"},
            ["api.clear.ml:443", "files.clear.ml:443"],
        ),
        (
            {
                "CLEARML_API_ACCESS_KEY": "k",
                "CLEARML_API_HOST": "http://c:8008",
                "CLEARML_FILES_HOST": "http://c:8081",
                "CLEARML_WEB_HOST": "http://c:8080",
            },
            ["c:8008", "c:8081"],
        ),
        ({"CLEARML_AUTH_TOKEN": "k", "CLEARML_NO_DEFAULT_SERVER": "1"}, []),
        ({"DVC_STUDIO_TOKEN": "k"}, ["studio.datachain.ai:443"]),
        ({"STUDIO_TOKEN": "k", "DVC_STUDIO_URL": "https://s"}, ["s:443"]),
        ({"MLFLOW_S3_ENDPOINT_URL": "http://minio:9000"}, ["minio:9000"]),
        (
            {
                "TRACKING_URI": "http://m:5000",
                "MLFLOW_TRACKING_URI": "http://m:5000/",
                "MLFLOW_REGISTRY_URI": "http://r:5000",
            },
            ["m:5000", "r:5000"],
        ),
    ],
)
def test_each_tracker_is_found_by_its_own_keys(
    keys: dict[str, str], expected: list[str]
) -> None:
    """Presets name the hosts that each client dials."""
    assert places(derive(keys)) == expected


AZURE = "DefaultEndpointsProtocol=https;AccountKey=hunter2=="
ASKS = EgressReason.STORE_HOST_NEEDED


@pytest.mark.parametrize(
    ("keys", "expected", "asks"),
    [
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, ["minio:9000"], False),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.x"}, ["s3.x:443"], False),
        ({"AWS_ENDPOINT_URL_STS": "https://sts.x"}, ["sts.x:443"], False),
        ({"AWS_ACCESS_KEY_ID": "k", "AWS_ENDPOINT_URL": "http://m"}, ["m:80"], False),
        (
            {"AWS_ACCESS_KEY_ID": "k", "MLFLOW_S3_ENDPOINT_URL": "http://m"},
            ["m:80"],
            False,
        ),
        ({"AWS_ACCESS_KEY_ID": "k"}, [], True),
        ({"AWS_ROLE_ARN": "arn:hunter2"}, [], True),
        ({"STORAGE_EMULATOR_HOST": "http://gcs:4443"}, ["gcs:4443"], False),
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": "/hunter2.json"},
            ["oauth2.googleapis.com:443", "storage.googleapis.com:443"],
            False,
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": f"{AZURE};accountname=acc1;"},
            ["acc1.blob.core.windows.net:443"],
            False,
        ),
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": (
                    f"{AZURE};AccountName=acc1;EndpointSuffix=core.chinacloudapi.cn"
                )
            },
            ["acc1.blob.core.chinacloudapi.cn:443"],
            False,
        ),
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint=http://a:10000/x;{AZURE}"
            },
            ["a:10000"],
            False,
        ),
        (
            {"AZURE_STORAGE_ACCOUNT": "acc1", "AZURE_STORAGE_ACCESS_KEY": "hunter2"},
            ["acc1.blob.core.windows.net:443"],
            False,
        ),
        ({"AZURE_STORAGE_ACCESS_KEY": "hunter2"}, [], True),
        ({"AWS_ENDPOINT_URL": " ", "MLFLOW_S3_ENDPOINT_URL": ""}, [], False),
        ({"AZURE_STORAGE_SAS_TOKEN": "hunter2"}, [], True),
        (
            {"TRACKING_URI": "azureml://eu.api.azureml.ms/mlflow/v1.0/x"},
            ["eu.api.azureml.ms:443"],
            True,
        ),
        ({"WANDB_BASE_URL": "https://w.b"}, ["w.b:443"], True),
        (
            {"DATABRICKS_HOST": "https://d.b", "TRACKING_URI": "databricks"},
            ["d.b:443"],
            1,
        ),
    ],
)
def test_the_store_of_a_trackers_files_is_found_or_asked_for(
    keys: dict[str, str], expected: list[str], asks: bool
) -> None:
    """From the keys where they say it, else with what to add; a setting answers it."""
    derived = derive(keys)
    answered = derive(keys, [parse_extra("s3.example", "hosts")])

    assert places(derived) == expected
    assert (ASKS in reasons(derived)) == asks
    assert all("settings" in f.message for f in derived.findings if f.reason is ASKS)
    assert ASKS not in reasons(answered)
    assert SECRET not in repr(derived)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "AccountName=hunter2@x",
        "AccountName=",
        "BlobEndpoint=https://hunter2;x@acc1.example",
        "BlobEndpoint=https://hunter2;x=y@acc1.example",
        "AccountName=acc1;BlobEndpoint=https://me:80;hunter2@acc1.example",
        "AccountName=acc1; ;AccountKey=x",
    ],
)
def test_a_store_without_an_account_is_reported_without_repeating_it(text: str) -> None:
    """Most of a connection string is secret."""
    derived = derive({"AZURE_STORAGE_CONNECTION_STRING": text})

    assert (places(derived), reasons(derived)) == ([], [EgressReason.MALFORMED_URI])
    assert SECRET not in repr(derived)


@pytest.mark.parametrize("token", ["hunter2", encoded(other="hunter2"), "W10=", "£"])
def test_a_token_without_an_address_is_reported_without_repeating_it(
    token: str,
) -> None:
    """Neptune's host is inside its token, which is a credential."""
    derived = derive({"NEPTUNE_API_TOKEN": token})

    assert places(derived) == []
    assert EgressReason.MALFORMED_URI in reasons(derived)
    assert token not in repr(derived)


def test_the_proxy_is_permitted_instead_of_what_it_fetches() -> None:
    """The pod never dials the tracking server itself."""
    keys = {"TRACKING_URI": "https://t", "HTTPS_PROXY": "http://u:hunter2@proxy:3128"}
    derived = derive(keys)

    assert derived.destinations == (Destination("proxy", 3128, "HTTPS_PROXY"),)
    assert SECRET not in repr(derived)


def test_an_exempt_server_is_permitted_itself() -> None:
    """`NO_PROXY` names the tracking server."""
    keys = {
        "TRACKING_URI": "https://t.ml",
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": "x, .ml",
    }

    assert places(derive(keys)) == ["t.ml:443"]


def test_extra_hosts_are_permitted_as_they_are() -> None:
    """A proxy is for clients that follow its variables; the operator knows better."""
    extra = [parse_extra("203.0.113.0/24:9000", "hosts"), parse_extra("s3.x", "hosts")]
    keys = {"TRACKING_URI": "http://t", "https_proxy": "p:1"}

    assert places(derive(keys, extra)) == ["203.0.113.0/24:9000", "s3.x:443", "t:80"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("203.0.113.7", "203.0.113.7/32", 443),
        ("203.0.113.7:80", "203.0.113.7", 80),
        ("2001:db8::/32", "2001:db8::/32", 443),
        ("[2001:db8::1]:80", "2001:db8::1/128", 80),
        ("Example.com:8080", "example.com", 8080),
    ],
)
def test_a_setting_names_a_host_or_a_range(text: str, host: str, port: int) -> None:
    """The port is 443 unless it is said."""
    assert parse_extra(text, "hosts") == Destination(host, port, "hosts")


@pytest.mark.parametrize("text", ["a:b", "a:0", "a:70000", "1.2.3.0/99:1", "-x"])
def test_a_bad_setting_is_named_with_its_text(text: str) -> None:
    """So that it is found among many."""
    with pytest.raises(ValueError, match=re.escape(f"hosts: {text!r}")):
        parse_extra(text, "hosts")


@pytest.mark.parametrize(
    "text", ["", "https://u:pass@t.example", "u:pass@t.example:80", "//u:pass@t", "a b"]
)
def test_what_may_be_a_uri_with_a_password_is_not_repeated(text: str) -> None:
    """It would end up in the log of a pod that does not start."""
    with pytest.raises(ValueError, match="hosts: an entry is not a dest") as caught:
        parse_extra(text, "hosts")

    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "network"),
    [("10.0.0.1", "10.0.0.1/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("mlflow", "None")],
)
def test_an_address_needs_no_lookup(host: str, network: str) -> None:
    """Only names have to be resolved."""
    assert str(Destination(host, 1, "k").network) == network


def test_the_order_of_keys_makes_no_difference() -> None:
    """Output is byte for byte the same."""
    keys = {"WANDB_API_KEY": "k", "TRACKING_URI": "http://m", "COMET_API_KEY": "c"}

    assert derive(dict(reversed(keys.items()))) == derive(keys)


@pytest.mark.parametrize("host", ["mlflow", "node1", "10.example.9x"])
def test_a_name_has_no_addresses_of_its_own(host: str) -> None:
    """Also one that ends in a digit."""
    assert Destination(host, 1, "k").network is None


def test_former_servers_are_read_as_they_were_written() -> None:
    """A profile without any is not worth a word."""
    former = {
        "default": (
            Destination("mlflow.example.org", 443, "TRACKING_URI"),
            Destination("2001:db8::1", 5000, "TRACKING_URI"),
        ),
        "second": (),
    }
    told = {"data": dump_former(former)}

    assert load_former(told) == {"default": former["default"]}
    assert load_former({}) == {}


@pytest.mark.parametrize(
    "text", ["x", "[]", '{"a": 5}', '{"a": [["h"]]}', '{"a": [["h", "p", "o"]]}']
)
def test_what_is_no_list_of_servers_is_refused(text: str) -> None:
    """Somebody edited the ConfigMap."""
    with pytest.raises(ValueError, match=r"no lists|Expecting|unpack|invalid literal"):
        load_former({"data": {FORMER_FIELD: text}})
