package vm_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each name of this library in MIGRATING.md is there.
func TestMigratingNamesWhatThereIs(t *testing.T) {
	known, embedded := map[string]bool{}, map[string]string{}
	for prefix, dir := range map[string]string{
		"wasmer": "..", "vm": ".", "cli": "cli", "process": "../../extensions/process",
	} {
		exported(t, dir, prefix, known, embedded)
	}
	require.Greater(t, len(known), 1000)
	document, err := os.ReadFile("../../MIGRATING.md")
	require.NoError(t, err)
	name := regexp.MustCompile("`(\\w+\\.[A-Z]\\w*)`")
	rows, found := 0, 0
	for line := range strings.Lines(string(document)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(line, "|")
		require.Len(t, cells, 5, "%s", line)
		rows++
		for _, match := range name.FindAllStringSubmatch(cells[2]+cells[3], -1) {
			if standard, _, _ := strings.Cut(match[1], "."); slices.Contains([]string{"slog", "time", "context", "errors"}, standard) {
				continue
			}
			of, member, _ := strings.Cut(match[1], ".")
			require.True(t, known[match[1]] || known[embedded[of]+"."+member], "there is no %s: %s", match[1], line)
			found++
		}
	}
	require.Greater(t, rows, 150)
	require.Greater(t, found, 350)
}

// exported collects functions, types, constants and variables as package.Name, methods and fields as Type.Name.
// What is embedded in a type is collected by the type's name.
func exported(t *testing.T, dir, prefix string, known map[string]bool, embedded map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					known[prefix+"."+d.Name.Name] = true
				} else if star, ok := d.Recv.List[0].Type.(*ast.StarExpr); ok {
					known[typeName(star.X)+"."+d.Name.Name] = true
				} else {
					known[typeName(d.Recv.List[0].Type)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range s.Names {
							known[prefix+"."+name.Name] = true
						}
					case *ast.TypeSpec:
						known[prefix+"."+s.Name.Name] = true
						if body, ok := s.Type.(*ast.StructType); ok {
							for _, field := range body.Fields.List {
								for _, name := range field.Names {
									known[s.Name.Name+"."+name.Name] = true
								}
								if len(field.Names) == 0 {
									embedded[s.Name.Name] = typeName(field.Type)
								}
							}
						}
					}
				}
			}
		}
	}
}

func typeName(x ast.Expr) string {
	if name, ok := x.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
