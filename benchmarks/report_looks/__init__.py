"""Reports of four unlike studies, drawn, opened in a browser, photographed and measured."""
