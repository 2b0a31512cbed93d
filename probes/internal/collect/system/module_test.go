package system

import (
	"bytes"
	"compress/gzip"
	"testing"
)

// moduleFixture has one module of each kind: installed, out of tree, hidden from /proc, and hidden from /sys.
func moduleFixture(t *testing.T) *fixture {
	f := newFixture(t)
	f.write("/proc/sys/kernel/osrelease", "6.1.0-test\n")
	f.write("/proc/modules", "ext4 983040 3 - Live 0x0\next_driver 16384 0 ext4, Live 0x0 (POE)\nlost 1 0 - Live 0x0\n")
	for _, name := range []string{"ext4", "ext_driver", "diamorphine"} {
		f.write("/sys/module/"+name+"/initstate", "live\n")
	}
	f.write("/sys/module/diamorphine/taint", "OE\n")
	f.write("/sys/module/diamorphine/coresize", "20480\n")
	f.write("/sys/module/ext4/srcversion", "ABCDEF\n")
	f.write("/sys/module/ext4/holders/ext_driver", "")
	f.write("/sys/module/printk/parameters/time", "Y\n")
	f.write("/lib/modules/6.1.0-test/modules.dep", "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko\nextra/lost.ko.xz:\n")
	f.write("/lib/modules/6.1.0-test/modules.builtin", "kernel/drivers/lost.ko\n")
	f.write("/lib/modules/6.1.0-test/kernel/fs/ext4/ext4.ko", "code"+signatureMark)
	return f
}

func TestModuleHasTheFactsOfAllItsFiles(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "ext4", func(r record) {
		r.expect(map[string]any{"size": int64(983040), "reference_count": int64(3), "state": "Live", "taint": "",
			"is_unsigned": false, "is_forced": false, "srcversion": "ABCDEF", "version": nil, "in_proc_modules": true,
			"in_sys_module": true, "path": "/lib/modules/6.1.0-test/kernel/fs/ext4/ext4.ko", "file_exists": true,
			"file_signed": true, "is_builtin": false, "init_state": "live", "has_holders": true})
	})
}

func TestModuleFileHasItsDigestsWhateverIsAskedForFirst(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "ext4", func(r record) {
		r.expect(map[string]any{
			"file_md5":    "daecff8cc2340eb50ebb92be4c994bab",
			"file_sha1":   "3252e71c7a65d40d0baed3e1d5b9bdd55c6821f8",
			"file_sha256": "723b8f18b5c77573667871f3596ca9d0c71e112c1a9880fb7fe1974d37d7fcbe",
			"file_sha512": "545774fb877c9614cdc0e53fd2bedd83ec93139ed79c257a1e03f5a1ed981a5a" +
				"6774d3b7aa7db7750512b6f463e38e48da130c7d441ead3071da7ece204a86e7",
		})
	})
	with(t, moduleFixture(t).env(), "kernel_module", "name", "lost", func(r record) {
		r.expect(map[string]any{"file_md5": nil, "file_sha256": nil})
	})
}

func TestModuleOutsideTheTreeIsToldByItsTaint(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "ext_driver", func(r record) {
		r.expect(map[string]any{"taint": "POE", "is_out_of_tree": true, "is_unsigned": true, "is_proprietary": true,
			"used_by": []string{"ext4"}, "path": nil, "file_exists": false, "file_signed": nil})
	})
}

func TestModuleHiddenFromTheListIsFoundInSys(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "diamorphine", func(r record) {
		r.expect(map[string]any{"in_proc_modules": false, "in_sys_module": true, "taint": "OE", "is_unsigned": true,
			"size": int64(20480), "state": nil, "reference_count": nil})
	})
}

func TestModuleMissingInSysIsStillARecord(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "lost", func(r record) {
		r.expect(map[string]any{"in_proc_modules": true, "in_sys_module": false, "file_exists": false, "is_builtin": true,
			"path": "/lib/modules/6.1.0-test/extra/lost.ko.xz"})
	})
}

func TestKernelWithoutModulesHasNoRecordsAndNoFault(t *testing.T) {
	f := newFixture(t)
	f.write("/sys/module/printk/parameters/time", "Y\n")

	status := collectAll(t, f.env(), "kernel_module", func(r record) { t.Error(r.get("name")) })

	if len(status.Failed)+len(status.Parts) != 0 {
		t.Error(status)
	}
}

func TestMissingListIsUnknownAndNotHidden(t *testing.T) {
	f := newFixture(t)
	f.write("/sys/module/ext4/initstate", "live\n")

	with(t, f.env(), "kernel_module", "name", "ext4", func(r record) {
		if v, err := r.try("in_proc_modules"); err == nil {
			t.Error(v)
		}
		if v, err := r.try("path"); err == nil {
			t.Error("without modules.dep nobody knows:", v)
		}
	})
}

func TestMalformedModuleListFailsTheSubject(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/modules", "one two\n")

	status := collectAll(t, f.env(), "kernel_module", func(r record) { t.Error(r.get("name")) })

	if status.Failed["kernel_module"] == nil {
		t.Error("a list that cannot be read must not pass for an empty one")
	}
}

func TestSignatureOfAPackedModuleIsFound(t *testing.T) {
	for content, want := range map[string]bool{"code" + signatureMark: true, "code": false} {
		f := moduleFixture(t)
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(append(bytes.Repeat([]byte("x"), 100_000), content...)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f.write("/lib/modules/6.1.0-test/modules.dep", "kernel/ext4.ko.gz:\n")
		f.write("/lib/modules/6.1.0-test/kernel/ext4.ko.gz", packed.String())

		with(t, f.env(), "kernel_module", "name", "ext4", func(r record) { r.expect(map[string]any{"file_signed": want}) })
	}
}

func TestModuleFileIsOwnedOnlyWhenAPackageListsIt(t *testing.T) {
	f := moduleFixture(t)
	f.write("/var/lib/dpkg/status", "Package: linux-image\nStatus: install ok installed\n")
	f.write("/var/lib/dpkg/info/linux-image.list", "/lib/modules/6.1.0-test/kernel/fs/ext4/ext4.ko\n/lib/modules/6.1.0-test/modules.builtin\n")

	with(t, f.env(), "kernel_module", "name", "ext4", func(r record) {
		r.expect(map[string]any{"package_owned": true, "kernel_package_owned": true})
	})
	with(t, f.env(), "kernel_module", "name", "lost", func(r record) {
		r.expect(map[string]any{"package_owned": false, "kernel_package_owned": true})
	})
}

func TestModuleOwnershipIsAbsentWithoutAPackageDatabase(t *testing.T) {
	with(t, moduleFixture(t).env(), "kernel_module", "name", "ext4", func(r record) {
		r.expect(map[string]any{"package_owned": nil, "kernel_package_owned": nil})
	})
}
