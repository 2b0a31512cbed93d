"""Routes of API v1."""

from django.urls import path
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from sandfly_web.accounts.api import TokenViewSet
from sandfly_web.api import schema  # noqa: F401 - registers the description of token authentication
from sandfly_web.api.document import DocumentView
from sandfly_web.api.views import MeView
from sandfly_web.findings.allowlist.api import AllowlistViewSet
from sandfly_web.findings.api import (
    FindingEventViewSet,
    FindingViewSet,
    ForensicRecordViewSet,
    RecordViewSet,
    RiskDayViewSet,
    WidespreadViewSet,
)
from sandfly_web.findings.drift.api import BaselineViewSet
from sandfly_web.findings.hunting.api import HuntView
from sandfly_web.findings.ssh_keys.api import (
    KeyRemovalViewSet,
    KeyZoneViewSet,
    SshKeyPlaceViewSet,
    SshKeyViewSet,
    SshPathsView,
)
from sandfly_web.findings.timeline.api import DensityView, TimelineView
from sandfly_web.inventory.api import (
    CredentialSetViewSet,
    CredentialViewSet,
    HostViewSet,
    JumpHostViewSet,
    TagViewSet,
    ZoneViewSet,
)
from sandfly_web.inventory.discovery.api import DiscoveryViewSet, SweepViewSet
from sandfly_web.rules.api import RuleViewSet
from sandfly_web.rules.indicators.api import IndicatorListViewSet
from sandfly_web.scans.api import ScanViewSet, ScheduleViewSet
from sandfly_web.scans.callbacks.api import CallbackSecretView
from sandfly_web.scans.queue.api import QueueView, ScanBatchViewSet

app_name = "api"

router = SimpleRouter(trailing_slash=False)
for name, viewset in {
    "hosts": HostViewSet,
    "zones": ZoneViewSet,
    "tags": TagViewSet,
    "credentials": CredentialViewSet,
    "credential-sets": CredentialSetViewSet,
    "jump-hosts": JumpHostViewSet,
    "discoveries": DiscoveryViewSet,
    "sweeps": SweepViewSet,
    "schedules": ScheduleViewSet,
    "scans": ScanViewSet,
    "batches": ScanBatchViewSet,
    "findings": FindingViewSet,
    "widespread-findings": WidespreadViewSet,
    "finding-events": FindingEventViewSet,
    "risk-days": RiskDayViewSet,
    "allowlist": AllowlistViewSet,
    "baselines": BaselineViewSet,
    "ssh-keys": SshKeyViewSet,
    "ssh-key-places": SshKeyPlaceViewSet,
    "key-zones": KeyZoneViewSet,
    "key-removals": KeyRemovalViewSet,
    "records": RecordViewSet,
    "forensic-records": ForensicRecordViewSet,
    "rules": RuleViewSet,
    "indicator-lists": IndicatorListViewSet,
    "tokens": TokenViewSet,
}.items():
    router.register(name, viewset, basename=name)

urlpatterns = [
    path("hosts/<uuid:id>/timeline", TimelineView.as_view(), name="timeline"),
    path("hosts/<uuid:id>/timeline/density", DensityView.as_view(), name="timeline-density"),
    path("hunt", HuntView.as_view(), name="hunt"),
    path("ssh-paths", SshPathsView.as_view(), name="ssh-paths"),
    path("queue", QueueView.as_view(), name="queue"),
    path("callback-secret", CallbackSecretView.as_view(), name="callback-secret"),
    path("me", MeView.as_view(), name="me"),
    path("schema", DocumentView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
    *router.urls,
]
