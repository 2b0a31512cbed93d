"""Hosts from inventories: what each format says, what is left out and why, and what becomes of it."""

from __future__ import annotations

import io

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.inventory import services
from sandfly_web.inventory.importing.ansible import expand
from sandfly_web.inventory.importing.candidates import Parsed
from sandfly_web.inventory.importing.formats import Format, guess, read_inventory
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.inventory.services import HostOptions
from sandfly_web.inventory.targets import MAX_HOSTS

INI = """\
# production
bastion.example.org ansible_port=2222 ansible_user=ops

[web]
web[01:03].example.org
web9 ansible_host=10.0.0.9   # spare

[db]
db-[a:b] ansible_host=10.0.1.1
[db:vars]
ansible_port=2022

[prod:children]
web
db
[local]
localhost ansible_connection=local
"""
YAML = """\
all:
  hosts:
    mail.example.org:
  children:
    web:
      vars: {ansible_port: 2200}
      hosts:
        web[1:2].example.org: {}
        web7: {ansible_host: 10.0.0.7, ansible_port: 22}
    eu:
      children:
        db:
          hosts:
            db1: {ansible_host: "2001:db8::5"}
"""
SSH = """\
Host *
  User ops
Host web1 web1-alias
  HostName 10.0.0.1
  Port 2222
  HostName 10.9.9.9
Host db *.internal !bad
  ProxyJump bastion
host=mail
  hostname=%h.example.org
"""
NETBOX = """\
Name,Status,Primary IP,Tags,SSH port
sw1,Active,10.0.0.5/24,"core, lab",
sw2,Active,10.0.0.6/24,,2022
sw3,Planned,,,
"""


def read(text: str, kind: Format = Format.AUTO) -> dict[str, tuple[str, ...]]:
    """`name=address:port` with its tags."""
    _, parsed = read_inventory(text, kind)
    return {f"{c.name}={c.target.address}:{c.target.port}": c.tags for c in parsed.candidates.values()}


def test_a_list_names_hosts_and_networks():
    text = "# ours\nweb1\nroot@10.0.0.1:2222 # spare\n10.1.0.0/30\n\n[2001:db8::1]:22\n"

    assert list(read(text)) == [
        "web1=web1:22",
        "10.0.0.1:2222=10.0.0.1:2222",
        "10.1.0.1=10.1.0.1:22",
        "10.1.0.2=10.1.0.2:22",
        "2001:db8::1=2001:db8::1:22",
    ]


def test_ansible_s_ini_gives_groups_ranges_and_variables():
    assert read(INI) == {
        "bastion.example.org=bastion.example.org:2222": (),
        "web01.example.org=web01.example.org:22": ("prod", "web"),
        "web02.example.org=web02.example.org:22": ("prod", "web"),
        "web03.example.org=web03.example.org:22": ("prod", "web"),
        "web9=10.0.0.9:22": ("prod", "web"),
        # Two names with one address are one host.
        "db-a=10.0.1.1:2022": ("prod", "db"),
    }


def test_ansible_s_yaml_gives_groups_ranges_and_variables():
    assert read(YAML) == {
        "mail.example.org=mail.example.org:22": (),
        "web1.example.org=web1.example.org:2200": ("web",),
        "web2.example.org=web2.example.org:2200": ("web",),
        "web7=10.0.0.7:22": ("web",),
        "db1=2001:db8::5:22": ("eu", "db"),
    }


def test_ssh_config_gives_the_names_without_wildcards_and_the_first_value_counts():
    _, parsed = read_inventory(SSH)

    assert list(read(SSH)) == ["web1=10.0.0.1:2222", "db=db:22", "mail=mail.example.org:22"]
    assert any("jump hosts" in note for note in parsed.notes)
    assert any("user names" in note for note in parsed.notes)


def test_a_table_is_read_by_the_names_of_its_columns():
    assert read(NETBOX) == {"sw1=10.0.0.5:22": ("core", "lab"), "sw2=10.0.0.6:2022": (), "sw3=sw3:22": ()}
    assert list(read("hostname;ip;port\nweb1;10.0.0.1;2222\n")) == ["web1=10.0.0.1:2222"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("web1\nweb2\n", Format.LIST),
        ("10.0.0.0/24\n", Format.LIST),
        ("[2001:db8::1]:22\n", Format.LIST),
        ("", Format.LIST),
        (INI, Format.ANSIBLE_INI),
        ("[web]\nweb1\n", Format.ANSIBLE_INI),
        (YAML, Format.ANSIBLE_YAML),
        ("---\nall:\n", Format.ANSIBLE_YAML),
        (SSH, Format.SSH_CONFIG),
        (NETBOX, Format.CSV),
        ("\ufeffaddress\n10.0.0.1\n", Format.CSV),
    ],
)
def test_the_format_is_guessed(text, kind):
    assert guess(text) == kind


@pytest.mark.parametrize(
    ("text", "kind", "fault"),
    [
        ("web1\nweb2:99999\n", Format.LIST, "line 2: 'web2:99999': '99999' is no port"),
        ("a b\n", Format.LIST, "line 1: 'a b' is no host"),
        ("colour,size\nred,5\n", Format.CSV, "line 1: no column with an address"),
        ("address,port\n10.0.0.1,ssh\n", Format.CSV, "line 2: 'ssh' is no port"),
        ("[web\nx\n", Format.ANSIBLE_INI, "line 1: '[web' is no section"),
        ("web[1:x]\n", Format.ANSIBLE_INI, "line 1: [1:x] is no range"),
        ("web1 ansible_port=x\n", Format.ANSIBLE_INI, "line 1: web1: 'x' is no port"),
        ("web1 ansible_host='{{ ip }}'\n", Format.ANSIBLE_INI, "line 1: web1: its address is a template"),
        ('web1 name="x\n', Format.ANSIBLE_INI, "line 1: cannot be read"),
        ("ip,staging_directory\n10.0.0.1,opt\n", Format.CSV, "line 2: 'opt' is no absolute path"),
        ("web1 sandfly_staging_directory=/a/../b\n", Format.ANSIBLE_INI, "line 1: '/a/../b' is no absolute path"),
        ("all:\n  hosts: {a b: }\n", Format.ANSIBLE_YAML, "'a b' is no address"),
        ("all: [\n", Format.ANSIBLE_YAML, "not valid YAML"),
        ("Host web1\n  Port x\n", Format.SSH_CONFIG, "line 1: 'x' is no port"),
        ("10.0.0.0/8\n", Format.LIST, f"more than {MAX_HOSTS} hosts"),
        ("h[1:9999999]\n", Format.ANSIBLE_INI, f"more than {MAX_HOSTS} hosts"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text, kind, fault):
    _, parsed = read_inventory(text, kind)

    assert parsed.fault_count >= 1
    assert fault in "\n".join(map(str, parsed.faults))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hostname,ip,staging_directory\nweb1,10.0.0.1,/opt/scan\nweb2,10.0.0.2,\n", Format.CSV),
        ("web1\nweb2\n[a]\nweb1\n[a:vars]\nsandfly_staging_directory=/opt/scan\n", Format.ANSIBLE_INI),
        ("all: {hosts: {web1: {sandfly_staging_directory: /opt/scan}, web2: }}\n", Format.ANSIBLE_YAML),
    ],
)
def test_an_inventory_names_the_place_for_the_probe(text, kind):
    _, parsed = read_inventory(text, kind)

    assert {c.name: c.staging_directory for c in parsed.candidates.values()} == {"web1": "/opt/scan", "web2": ""}


def test_one_bad_line_does_not_spoil_the_rest():
    _, parsed = read_inventory("web1\nweb2:0\nweb3\n", Format.LIST)

    assert [candidate.name for candidate in parsed.candidates.values()] == ["web1", "web3"]


def test_groups_that_contain_each_other_end():
    text = "[a]\nweb1\n[a:children]\nb\n[b:children]\na\n"

    assert read(text) == {"web1=web1:22": ("b", "a")}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web", ["web"]),
        ("w[08:10]", ["w08", "w09", "w10"]),
        ("w[1:5:2]x", ["w1x", "w3x", "w5x"]),
        ("[a:b][1:2]", ["a1", "a2", "b1", "b2"]),
        ("w[3:1]", []),
    ],
)
def test_ranges(pattern, names):
    assert list(expand(pattern)) == names


@given(st.text(max_size=400), st.sampled_from(list(Format)))
def test_no_text_breaks_a_parser(text, kind):
    _, parsed = read_inventory(text, kind)

    assert isinstance(parsed, Parsed)
    assert all(candidate.target.address for candidate in parsed.candidates.values())


@pytest.mark.django_db
class TestImporting:
    def test_hosts_get_their_names_and_tags(self, make):
        zone = make.zone()
        _, parsed = read_inventory(INI)

        added = services.import_hosts(list(parsed.candidates.values()), HostOptions(zone=zone, tags=("import",)))

        assert (len(added.created), added.existing) == (6, 0)
        web = Host.objects.get(name="web9")
        assert (web.address, web.port, web.zone) == ("10.0.0.9", 22, zone)
        assert sorted(tag.name for tag in web.tags.all()) == ["import", "prod", "web"]

    def test_hosts_get_their_place_for_the_probe_and_the_others_that_of_the_options(self, make):
        _, parsed = read_inventory("ip,staging_dir\n10.0.0.1,/opt/scan\n10.0.0.2,\n")
        options = HostOptions(zone=make.zone(), staging_directory="/srv")

        services.import_hosts(list(parsed.candidates.values()), options)

        assert list(Host.objects.order_by("address").values_list("staging_directory", flat=True)) == [
            "/opt/scan",
            "/srv",
        ]

    def test_what_is_there_stays_and_only_gets_tags(self, make):
        zone = make.zone()
        host = make.host(zone, name="mine", address="10.0.0.9", is_active=False)
        _, parsed = read_inventory("[web]\nweb9 ansible_host=10.0.0.9\n")

        for _ in range(2):
            added = services.import_hosts(list(parsed.candidates.values()), HostOptions(zone=zone))
            assert (added.created, added.existing) == ([], 1)

        host.refresh_from_db()
        assert (host.name, host.is_active) == ("mine", False)
        assert [tag.name for tag in host.tags.all()] == ["web"]

    def test_a_credential_of_another_zone_is_refused(self, make):
        credential = make.credential(make.zone())
        _, parsed = read_inventory("web1\n")

        with pytest.raises(ValidationError, match="belongs to zone"):
            services.import_hosts(
                list(parsed.candidates.values()), HostOptions(zone=make.zone(), credential=credential)
            )

    def test_the_number_of_queries_does_not_grow_with_the_hosts(self, make, django_assert_max_num_queries):
        zone = make.zone()
        _, parsed = read_inventory("[web]\n" + "".join(f"h{place}\n" for place in range(500)))

        with django_assert_max_num_queries(20):
            services.import_hosts(list(parsed.candidates.values()), HostOptions(zone=zone))

        assert Host.objects.filter(tags__name="web").count() == 500

    def test_the_command_imports_and_says_what_it_left_out(self, make, tmp_path):
        zone, path = make.zone(), tmp_path / "hosts"
        path.write_text("web1\nweb2:0\n")
        out, err = io.StringIO(), io.StringIO()

        with pytest.raises(CommandError, match="1 entries could not be read"):
            call_command("hosts", "import", str(path), "--zone", zone.name, "--tag", "new", stdout=out, stderr=err)

        assert "1 hosts added, 0 were there already (list)" in out.getvalue()
        assert "line 2" in err.getvalue()
        assert [tag.name for tag in Host.objects.get(name="web1").tags.all()] == ["new"]

    def test_a_dry_run_adds_nothing(self, make, tmp_path):
        path, out = tmp_path / "hosts", io.StringIO()
        path.write_text(INI)

        call_command("hosts", "import", str(path), "--dry-run", stdout=out)

        assert "10.0.0.9  web9  prod, web" in out.getvalue()
        assert not Host.objects.exists()

    @pytest.mark.parametrize("option", ["--zone", "--credential", "--jump-host"])
    def test_the_command_says_what_there_is(self, make, tmp_path, option):
        zone, path = make.zone("north"), tmp_path / "hosts"
        path.write_text("web1\n")
        options = {"--zone": zone.name} | {option: "nowhere"}

        with pytest.raises(CommandError, match="named 'nowhere'; there are: "):
            call_command("hosts", "import", str(path), *(word for pair in options.items() for word in pair))

        assert not Host.objects.exists()
        assert not Tag.objects.exists()
