package gojs

import (
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// process is what the guest knows of itself as a process of its own.
type process struct {
	// directory is the working directory, an absolute path.
	directory string
	// mask is what umask was given; files have no permissions that it could hide.
	mask uint32
}

// startDirectory lets the guest start in the folder that the variable PWD names, if there is such a one, else in the root.
func (g *guest) startDirectory() {
	g.process.directory = "/"
	if directory := g.host.config.Env["PWD"]; strings.HasPrefix(directory, "/") {
		_ = g.changeDirectory(directory)
	}
}

// newProcess makes the object process. A guest is the first process, of no user.
func (w *world) newProcess() *object {
	o := w.object("process", map[string]callable{
		"getuid": constant(-1), "geteuid": constant(-1), "getgid": constant(-1), "getegid": constant(-1),
		"getgroups": func(g *guest, _ value, _ []value) (value, error) { return g.newArray(nil) },
		"umask":     processUmask,
		"cwd":       processCwd,
		"chdir":     processChdir,
	})
	o.properties.set("pid", 1.0)
	o.properties.set("ppid", 0.0)
	return o
}

// constant makes a function of a number.
func constant(n float64) callable {
	return func(*guest, value, []value) (value, error) { return n, nil }
}

func processUmask(g *guest, _ value, args []value) (value, error) {
	old := g.process.mask
	if mask := argument(args, 0); mask != nil {
		g.process.mask = toUint32(mask) & 0o777
	}
	return float64(old), nil
}

func processCwd(g *guest, _ value, _ []value) (value, error) { return g.process.directory, nil }

func processChdir(g *guest, _ value, args []value) (value, error) {
	a := arguments{g, "process.chdir", args}
	name, err := a.string(0)
	if err != nil {
		return nil, err
	}
	if err := g.changeDirectory(name); err != nil {
		return nil, g.throwErrno(err, "chdir")
	}
	return nil, nil
}

func (g *guest) changeDirectory(name string) error {
	dir, path, err := g.lookup(name)
	if err != nil {
		return err
	}
	stat, err := dir.Stat(path, true)
	if err != nil {
		return err
	}
	if stat.Type != wasip1.TypeDirectory {
		return errnoError("ENOTDIR")
	}
	g.process.directory = withoutSlash(absolute(g.process.directory, name))
	return nil
}

func withoutSlash(absolute string) string {
	if absolute == "/" {
		return absolute
	}
	return strings.TrimSuffix(absolute, "/")
}

// pathResolve is path.resolve of Node.
func pathResolve(g *guest, _ value, args []value) (value, error) {
	resolved := g.process.directory
	a := arguments{g, "path.resolve", args}
	for i := range args {
		part, err := a.string(i)
		if err != nil {
			return nil, err
		}
		if part != "" {
			resolved = absolute(resolved, part)
		}
	}
	return withoutSlash(resolved), nil
}
