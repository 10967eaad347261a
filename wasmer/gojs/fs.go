package gojs

import (
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// The flags of fs.open. Programs learn them from fs.constants.
const (
	openWriteOnly = 0o1
	openReadWrite = 0o2
	openCreate    = 0o100
	openExclusive = 0o200
	openTruncate  = 0o1000
	openAppend    = 0o2000
	openDirectory = 0o200000
)

var fsConstants = map[string]float64{
	"O_RDONLY": 0, "O_WRONLY": openWriteOnly, "O_RDWR": openReadWrite, "O_CREAT": openCreate, "O_EXCL": openExclusive,
	"O_TRUNC": openTruncate, "O_APPEND": openAppend, "O_DIRECTORY": openDirectory,
}

// fsFunction is a function of Node's fs, whose last argument is a callback. Its error is one for the callback, but for
// those of isFatal.
type fsFunction func(g *guest, a *arguments) (value, error)

// fsFunctions are those that Go programs use. Owners and permissions are not among what can be changed.
//
// See https://nodejs.org/api/fs.html#callback-api
var fsFunctions = map[string]fsFunction{
	"open": fsOpen, "close": fsClose,
	"stat": fsStat, "lstat": fsLstat, "fstat": fsFstat,
	"readdir": fsReaddir, "mkdir": fsMkdir, "rmdir": fsRmdir, "unlink": fsUnlink,
	"rename": fsRename, "link": fsLink, "symlink": fsSymlink, "readlink": fsReadlink,
	"truncate": fsTruncate, "ftruncate": fsFtruncate, "fsync": fsFsync, "utimes": fsUtimes,
	"chmod": fsUnsupported, "fchmod": fsUnsupported, "chown": fsUnsupported, "fchown": fsUnsupported,
	"lchown": fsUnsupported,
}

// isFatal tells what ends the guest, or is thrown, from what a callback is told.
func isFatal(err error) bool {
	var thrown *exception
	return errors.As(err, &thrown) || errors.Is(err, wasmer.ErrResource)
}

// callback brings a function of fs into the common form.
func (function fsFunction) callable(name string) callable {
	return func(g *guest, _ value, args []value) (value, error) {
		g.calls++
		a, callback, err := g.fsArguments(name, args)
		if err != nil {
			return nil, err
		}
		result, err := function(g, a)
		return nil, g.answer(callback, name, result, err)
	}
}

// fsArguments splits the callback off.
func (g *guest) fsArguments(name string, args []value) (*arguments, value, error) {
	last := len(args) - 1
	if last < 0 || typeOf(args[last]) != "function" {
		return nil, nil, g.typeError("fs." + name + ": the last argument must be a function")
	}
	return &arguments{g, "fs." + name, args[:last]}, args[last], nil
}

// answer calls a callback soon, with what a function came to.
func (g *guest) answer(callback value, name string, result value, err error) error {
	switch {
	case err == nil:
		return g.post(callback, null{}, result)
	case isFatal(err):
		return err
	}
	failure, err := g.newErrno(err, name)
	if err != nil {
		return err
	}
	return g.post(callback, failure)
}

// arguments are those of a function of the host.
type arguments struct {
	g    *guest
	name string
	list []value
}

func (a *arguments) wrong(i int, want string) error {
	return a.g.typeError(a.name + ": argument " + formatNumber(float64(i)) + " must be " + want)
}

func (a *arguments) string(i int) (string, error) {
	s, ok := argument(a.list, i).(string)
	if !ok {
		return "", a.wrong(i, "a string")
	}
	return s, nil
}

// integer is a number without a fraction, not beyond what a float64 counts one by one.
func (a *arguments) integer(i int) (int64, error) {
	f, ok := argument(a.list, i).(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, a.wrong(i, "an integer")
	}
	return int64(f), nil
}

// path is the directory that a path is to be looked up in, and the path from there.
func (a *arguments) path(i int) (wasip1.Dir, string, error) {
	name, err := a.string(i)
	if err != nil {
		return nil, "", err
	}
	return a.g.lookup(name)
}

// lookup finds the mount of a path.
func (g *guest) lookup(name string) (wasip1.Dir, string, error) {
	switch {
	case name == "":
		return nil, "", errnoError("ENOENT")
	case strings.Contains(name, "\x00"):
		return nil, "", errnoError("EINVAL")
	}
	dir, rest := g.host.mounts.find(g.process.directory, name)
	return dir, rest, nil
}

func (a *arguments) file(i int) (*descriptor, error) {
	fd, err := a.integer(i)
	if err != nil {
		return nil, err
	}
	return a.g.files.find(fd)
}

func fsOpen(g *guest, a *arguments) (value, error) {
	dir, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	flags, err := a.integer(1)
	if err != nil {
		return nil, err
	}
	options := wasip1.OpenOptions{
		Read: flags&openWriteOnly == 0, Write: flags&(openWriteOnly|openReadWrite) != 0, Follow: true,
		Directory: flags&openDirectory != 0,
		Create:    flags&openCreate != 0, Exclusive: flags&openExclusive != 0, Truncate: flags&openTruncate != 0,
	}
	file, sub, err := dir.Open(path, options)
	if err != nil {
		return nil, err
	}
	fd, err := g.files.add(newDescriptor(file, sub, options, flags&openAppend != 0))
	return float64(fd), err
}

func fsClose(g *guest, a *arguments) (value, error) {
	fd, err := a.integer(0)
	if err != nil {
		return nil, err
	}
	return nil, g.files.remove(fd)
}

func fsReaddir(g *guest, a *arguments) (value, error) {
	parent, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	file, dir, err := parent.Open(path, wasip1.OpenOptions{Read: true, Follow: true, Directory: true})
	switch {
	case err != nil:
		return nil, err
	case dir == nil:
		return nil, errors.Join(errnoError("ENOTDIR"), file.Close())
	}
	defer dir.Close()
	entries, err := dir.Entries()
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	var names []value
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return g.newArray(names)
		}
		if err != nil {
			return nil, err
		}
		if err := g.charge(valueSize + int64(len(entry.Name))); err != nil {
			return nil, err
		}
		names = append(names, wellFormed(entry.Name))
	}
}

// onPath is a function that does something to what is at a path.
func onPath(do func(dir wasip1.Dir, path string) error) fsFunction {
	return func(_ *guest, a *arguments) (value, error) {
		dir, path, err := a.path(0)
		if err != nil {
			return nil, err
		}
		return nil, do(dir, path)
	}
}

var (
	fsMkdir  = onPath(wasip1.Dir.MakeDir)
	fsRmdir  = onPath(wasip1.Dir.RemoveDir)
	fsUnlink = onPath(wasip1.Dir.Unlink)
)

// onPaths is a function that does something to two paths.
func onPaths(do func(dir wasip1.Dir, path string, to wasip1.Dir, newPath string) error) fsFunction {
	return func(_ *guest, a *arguments) (value, error) {
		dir, path, err := a.path(0)
		if err != nil {
			return nil, err
		}
		to, newPath, err := a.path(1)
		if err != nil {
			return nil, err
		}
		return nil, do(dir, path, to, newPath)
	}
}

var (
	fsRename = onPaths(wasip1.Dir.Rename)
	fsLink   = onPaths(wasip1.Dir.Link)
)

func fsSymlink(_ *guest, a *arguments) (value, error) {
	target, err := a.string(0)
	if err != nil {
		return nil, err
	}
	dir, path, err := a.path(1)
	if err != nil {
		return nil, err
	}
	return nil, dir.Symlink(target, path)
}

func fsReadlink(g *guest, a *arguments) (value, error) {
	dir, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	target, err := dir.ReadLink(path)
	if err != nil {
		return nil, err
	}
	return wellFormed(target), g.charge(int64(len(target)))
}

func fsTruncate(_ *guest, a *arguments) (value, error) {
	dir, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	size, err := a.integer(1)
	if err != nil {
		return nil, err
	}
	file, sub, err := dir.Open(path, wasip1.OpenOptions{Write: true, Follow: true})
	switch {
	case err != nil:
		return nil, err
	case file == nil:
		return nil, errors.Join(errnoError("EISDIR"), sub.Close())
	case size < 0:
		return nil, errors.Join(errnoError("EINVAL"), file.Close())
	}
	return nil, errors.Join(file.SetSize(size), file.Close())
}

func fsFtruncate(_ *guest, a *arguments) (value, error) {
	d, err := a.file(0)
	if err != nil {
		return nil, err
	}
	size, err := a.integer(1)
	switch {
	case err != nil:
		return nil, err
	case d.file == nil || !d.writable || size < 0:
		return nil, errnoError("EINVAL")
	}
	return nil, d.file.SetSize(size)
}

func fsFsync(_ *guest, a *arguments) (value, error) {
	d, err := a.file(0)
	switch {
	case err != nil:
		return nil, err
	case d.file != nil:
		return nil, d.file.Sync(false)
	case d.dir != nil:
		return nil, d.dir.Sync()
	}
	return nil, errnoError("EINVAL")
}

// fsUtimes takes times in seconds.
func fsUtimes(_ *guest, a *arguments) (value, error) {
	dir, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	accessed, err := a.time(1)
	if err != nil {
		return nil, err
	}
	modified, err := a.time(2)
	if err != nil {
		return nil, err
	}
	return nil, dir.SetTimes(path, true, wasip1.Times{Accessed: &accessed, Modified: &modified})
}

func (a *arguments) time(i int) (time.Time, error) {
	f, ok := argument(a.list, i).(float64)
	if !ok || math.IsNaN(f) || math.Abs(f) > 1<<53 {
		return time.Time{}, a.wrong(i, "a time in seconds")
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

func fsUnsupported(*guest, *arguments) (value, error) { return nil, errnoError("ENOSYS") }
