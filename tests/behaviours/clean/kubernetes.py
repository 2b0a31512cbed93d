"""A node of a cluster: kubelet, containerd, privileged system pods, network plug-ins."""

from __future__ import annotations

import json

from tests.behaviours.behaviour import Process
from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon

PROXY, CALICO = "1b" * 32, "2c" * 32
TASKS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
POD = "/var/lib/kubelet/pods/5e1d0c1a-0000-4000-8000-000000000001"


def task(name: str, image: str, args: list[str], *, privileged: bool, mounts: list[tuple[str, str]]) -> str:
    """The OCI configuration of a running container, as containerd keeps it."""
    capabilities = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"] + (
        ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_MODULE"] if privileged else []
    )
    return json.dumps({
        "ociVersion": "1.1.0",
        "process": {"args": args, "env": ["PATH=/usr/bin"], "cwd": "/", "capabilities": {"bounding": capabilities, "effective": capabilities}},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": to, "type": "bind", "source": source, "options": ["rbind", "rw"]} for source, to in mounts],
        "annotations": {
            "io.kubernetes.cri.container-name": name, "io.kubernetes.cri.image-name": image, "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-namespace": "kube-system",
        },
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}]},
    })  # fmt: skip


HOST = CleanHost(
    name="kubernetes",
    does="Runs the pods that a cluster gives it.",
    accounts=("ops:x:1000:1000:Ops:/home/ops:/bin/bash",),
    packages=(
        Package("kubelet", {"/usr/bin/kubelet": PROGRAM, "/lib/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n"}),
        Package("containerd", {"/usr/bin/containerd": PROGRAM, "/usr/bin/containerd-shim-runc-v2": PROGRAM, "/usr/sbin/runc": PROGRAM}),
        Package("kubernetes-cni", {"/opt/cni/bin/bridge": PROGRAM, "/opt/cni/bin/portmap": PROGRAM}),
    ),
    files={
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf": "[Service]\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS\n",
        "/etc/kubernetes/manifests/kube-apiserver.yaml": "apiVersion: v1\nkind: Pod\nspec:\n  hostNetwork: true\n  containers:\n  - command: [kube-apiserver, --anonymous-auth=false]\n",
        "/etc/kubernetes/kubelet.conf": "apiVersion: v1\n",
        "/etc/cni/net.d/10-calico.conflist": "{\"name\": \"k8s-pod-network\"}\n",
        "/etc/modules-load.d/k8s.conf": "overlay\nbr_netfilter\n",
        "/etc/sysctl.d/k8s.conf": "net.ipv4.ip_forward = 1\n",
        f"{TASKS}/{PROXY}/config.json": task("kube-proxy", "registry.k8s.io/kube-proxy:v1.29.0", ["/usr/local/bin/kube-proxy"], privileged=True, mounts=[("/lib/modules", "/lib/modules"), ("/run/xtables.lock", "/run/xtables.lock")]),
        f"{TASKS}/{CALICO}/config.json": task("calico-node", "docker.io/calico/node:v3.27.0", ["/bin/calico-node"], privileged=True, mounts=[("/var/lib/calico", "/var/lib/calico"), ("/opt/cni/bin", "/host/opt/cni/bin"), ("/proc", "/nodeproc")]),
        f"{POD}/volumes/kubernetes.io~projected/kube-api-access/token": "eyJhbGciOi",
        f"{POD}/volumes/kubernetes.io~configmap/scripts/start.sh": "#!/bin/sh\ncurl -s http://config.example.org/x | sh\n",
        f"{POD}/etc-hosts": "127.0.0.1 localhost\n",
        "/var/log/pods/kube-system_kube-proxy_5e1d/kube-proxy/0.log": "2026-11-24T00:00:00Z stderr F I1124 starting\n",
        "/home/ops/.kube/config": "apiVersion: v1\n",
        "/home/ops/.bash_history": "kubectl get pods -A\nkubectl exec -it x -- sh\nsudo crictl ps\nkubectl get secret x -o jsonpath={.data.p} | base64 -d\nsudo nsenter -t 4242 -n ip a\ncurl -sfL https://get.k3s.example.org | sh -\nkubeadm token create --print-join-command\n",
        "/root/.kube/config": "apiVersion: v1\n",
        "/etc/cron.d/etcd": "0 * * * * root ETCDCTL_API=3 etcdctl snapshot save /var/backups/etcd-$(date +\\%H).db >/dev/null\n",
        "/dev/termination-log": "",
        "/var/log/auth.log": noise.auth("node1", "ops"),
        "/var/log/syslog": noise.system("node1"),
    },
    modes={"/root/.kube/config": 0o600},
    binaries={"/var/log/wtmp": noise.wtmp(["ops"]), "/var/log/btmp": noise.btmp()},
    shell="""
mkdir -p /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs/usr/bin /opt/cni/bin /sys/fs/bpf 2>/dev/null || true
cp /bin/true /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs/usr/bin/su
chmod 4755 /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs/usr/bin/su
cp /bin/true /opt/cni/bin/calico; cp /bin/true /opt/cni/bin/calico-ipam; cp /bin/true /usr/local/bin/helm
chown -R 1000:1000 /home/ops
""",
    processes=(
        daemon("/usr/bin/kubelet", "/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml", do=("listen tcp :10250",)),
        daemon("/usr/bin/containerd"),
        daemon("/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", PROXY, children=(
            Process("/var/lib/containerd/rootfs/usr/local/bin/kube-proxy", ("/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"), ("chroot /var/lib/containerd/rootfs", "listen tcp :10256")),
        )),
        Process("/usr/local/bin/node_exporter", ("/usr/local/bin/node_exporter",), ("listen tcp :9100",), uid=1000),
    ),
)  # fmt: skip
