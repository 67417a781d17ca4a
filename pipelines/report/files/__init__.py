"""Files beside a report and beside layers: styles for QGIS, and the tables as one workbook."""
