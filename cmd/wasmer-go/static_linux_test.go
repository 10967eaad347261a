//go:build !wasmer_llvm

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program that is linked statically needs nothing but the kernel: it runs in a root where there is nothing else, as in an
// image from scratch.
func TestAStaticProgramRunsInAnEmptyRoot(t *testing.T) {
	library, err := exec.Command("cc", "-print-file-name=libc.a").Output()
	if err != nil || !filepath.IsAbs(strings.TrimSpace(string(library))) {
		t.Skip("there is no static C library")
	}
	root := t.TempDir()
	build := exec.Command("go", "build", "-ldflags", "-s -w -linkmode=external -extldflags=-static",
		"-o", filepath.Join(root, "wasmer-go"), ".")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, name := range []string{"simple.wasm", "wasi/hello.wasm"} {
		guest, err := os.ReadFile(fixture(name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, filepath.Base(name)), guest, 0o666))
	}
	for arguments, want := range map[string]string{
		"run simple.wasm --invoke sum 5 37": "42\n",
		"run hello.wasm":                    "hello, wasi\n",
	} {
		var stderr bytes.Buffer
		command := exec.Command("/wasmer-go", strings.Fields(arguments)...)
		command.Dir, command.Env, command.Stderr = "/", []string{}, &stderr
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Geteuid() != 0 { // in a namespace of its own, everybody may
			command.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
			command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
		}
		stdout, err := command.Output()
		if errors.Is(err, syscall.EPERM) {
			t.Skip("this user may not change the root")
		}
		require.NoError(t, err, "%s", &stderr)
		require.Equal(t, want, string(stdout))
		require.Empty(t, stderr.String())
	}
}
