package gojs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// mounts are the file systems of the guests, those with the longest paths first. There is one for "/".
type mounts []mount

type mount struct {
	guest string
	dir   wasip1.Dir
}

func openMounts(list []wasmer.Mount) (opened mounts, err error) {
	defer func() {
		if err != nil {
			_ = opened.close()
		}
	}()
	for i, m := range list {
		guest := path.Join("/", m.Guest)
		switch {
		case m.Guest == "" || strings.Contains(m.Guest, "\x00") || strings.HasPrefix(path.Clean(m.Guest), ".."):
			return opened, fmt.Errorf("gojs: Mounts[%d]: Guest is %q, want a path", i, m.Guest)
		case (m.Host == "") == (m.FS == nil) || isNilPointer(m.FS):
			return opened, fmt.Errorf("gojs: Mounts[%d] (%s): want either Host or FS", i, guest)
		case slices.ContainsFunc(opened, func(other mount) bool { return other.guest == guest }):
			return opened, fmt.Errorf("gojs: Mounts[%d]: there is another one for %s", i, guest)
		}
		dir, err := openDir(m)
		if err != nil {
			return opened, fmt.Errorf("gojs: Mounts[%d] (%s): %w", i, guest, err)
		}
		if m.ReadOnly {
			dir = wasip1.ReadOnly(dir)
		}
		opened = append(opened, mount{guest, dir})
	}
	if !slices.ContainsFunc(opened, func(m mount) bool { return m.guest == "/" }) {
		root, err := opened.emptyRoot()
		if err != nil {
			return opened, err
		}
		opened = append(opened, mount{"/", root})
	}
	slices.SortStableFunc(opened, func(a, b mount) int { return len(b.guest) - len(a.guest) })
	return opened, nil
}

func openDir(m wasmer.Mount) (wasip1.Dir, error) {
	if m.FS == nil {
		return wasip1.OpenHost(m.Host)
	}
	if memory, ok := m.FS.(*wasmer.MemFS); ok {
		return wasip1.MemFSOf(memory).Root(), nil
	}
	if host, ok := wasip1.HostFolder(m.FS); ok { // os.DirFS would follow links that lead outside
		dir, err := wasip1.OpenHost(host)
		if err != nil {
			return nil, err
		}
		return wasip1.ReadOnly(dir), nil
	}
	if _, err := fs.Stat(m.FS, "."); err != nil {
		return nil, err
	}
	return wasip1.NewFS(m.FS), nil
}

// emptyRoot is a root that holds the mount points and nothing else.
func (m mounts) emptyRoot() (wasip1.Dir, error) {
	root := wasip1.NewMemFS().Root()
	for _, mount := range m {
		for i, c := range mount.guest + "/" {
			if c != '/' || i == 0 {
				continue
			}
			if err := root.MakeDir(mount.guest[1:i]); err != nil && codeOf(err) != "EEXIST" {
				return nil, err
			}
		}
	}
	return wasip1.ReadOnly(root), nil
}

func (m mounts) close() error {
	var errs []error
	for _, mount := range m {
		errs = append(errs, mount.dir.Close())
	}
	return errors.Join(errs...)
}

// absolute is a path without "." and "..", taken away by name. A path that can only be a directory's ends in a slash.
func absolute(directory, name string) string {
	clean := path.Clean(joined(directory, name))
	last := name[strings.LastIndexByte(name, '/')+1:]
	if clean != "/" && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	return clean
}

// joined is a path as it was written, from the root on.
func joined(directory, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return directory + "/" + name
}

// find is the mount that a path lies in, and the path from there. A ".." in a path that stays in one mount is left to that,
// which knows what is a symbolic link; one that leads to another mount is taken away by name.
func (m mounts) find(directory, name string) (wasip1.Dir, string) {
	clean := absolute(directory, name)
	mount := m.of(clean)
	if rest, ok := m.below(mount, joined(directory, name)); ok {
		return mount.dir, rest
	}
	return mount.dir, mount.rest(clean)
}

// of is the mount of an absolute path.
func (m mounts) of(absolute string) mount {
	at := slices.IndexFunc(m, func(mount mount) bool {
		rest, ok := strings.CutPrefix(absolute, strings.TrimSuffix(mount.guest, "/"))
		return ok && (rest == "" || rest[0] == '/')
	})
	return m[at] // there is one for "/"
}

// rest is an absolute path from the mount on.
func (m mount) rest(absolute string) string {
	rest := strings.TrimLeft(strings.TrimPrefix(absolute, m.guest), "/")
	if rest == "" {
		return "."
	}
	return rest
}

// below is the path from the mount on as it was written, if no part of it leaves the mount.
func (m mounts) below(mount mount, joined string) (rest string, ok bool) {
	root := strings.TrimSuffix(mount.guest, "/") + "/"
	if !strings.HasPrefix(joined, root) || !strings.Contains(joined, "..") {
		return "", false
	}
	at, depth := mount.guest, 0
	for part := range strings.SplitSeq(joined[len(root):], "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			depth--
		default:
			depth++
		}
		at = path.Join(at, part)
		if depth < 0 || m.of(at).guest != mount.guest {
			return "", false
		}
	}
	return mount.rest(joined), true
}
